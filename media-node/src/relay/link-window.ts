/** One measurement of a trunk. */
export interface LinkSample {
  readonly rttMs: number;
  readonly jitterMs: number;
  readonly lossPercent: number;
}

/** Mean of a trunk's measurements over a window (RelayMesh.spec.probe.windowSeconds), so that routes do not follow momentary changes. */
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

  /** Drops all measurements: the trunk came up again, perhaps over another path. */
  clear(): void {
    this.#samples.length = 0;
  }
}
