/** What a trunk measures at one moment. */
export interface LinkSample {
  readonly rttMs: number;
  readonly jitterMs: number;
  readonly lossPercent: number;
}

/** The mean of what a trunk measured over the last while (RelayMesh.spec.probe.windowSeconds): routes follow what lasts, not a moment. */
export class LinkWindow {
  readonly #samples: { readonly atMs: number; readonly sample: LinkSample }[] = [];

  /** Adds a measurement and returns the mean over the window that ends with it. */
  add(sample: LinkSample, nowMs: number, windowMs: number): LinkSample {
    const samples = this.#samples;
    samples.push({ atMs: nowMs, sample });
    while ((samples[0]?.atMs ?? nowMs) < nowMs - windowMs) samples.shift();
    const mean = (read: (each: LinkSample) => number) =>
      samples.reduce((sum, each) => sum + read(each.sample), 0) / samples.length;
    return {
      rttMs: mean((each) => each.rttMs),
      jitterMs: mean((each) => each.jitterMs),
      lossPercent: mean((each) => each.lossPercent),
    };
  }

  /** Measurements in the window. */
  get count(): number {
    return this.#samples.length;
  }

  /** Forgets what was measured: the trunk came up anew, perhaps over another way. */
  clear(): void {
    this.#samples.length = 0;
  }
}
