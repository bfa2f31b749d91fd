/** What a node can run: programs of this machine, each in place of an image. */
export interface LocalImages {
  /** Names of the images, for people. */
  images: readonly string[];
  /** The command line that stands for an image; undefined: no such image here. */
  commandFor: (reference: string) => readonly string[] | undefined;
}

/** Images by repository: `registry.example/millrace/media-node:1.2` is `millrace/media-node`, for there is one build of it here. */
export function localImages(programs: Readonly<Record<string, readonly string[]>>): LocalImages {
  return {
    images: Object.keys(programs),
    commandFor: (reference) => {
      const repository = repositoryOf(reference);
      return Object.entries(programs).find(([name]) => repository === name || repository.endsWith(`/${name}`))?.[1];
    },
  };
}

/** Without tag and digest; a colon before the last slash is a registry's port. */
function repositoryOf(reference: string): string {
  const [name = ''] = reference.split('@');
  const tag = name.lastIndexOf(':');
  return tag > name.lastIndexOf('/') ? name.slice(0, tag) : name;
}

/** There is nothing here that could run as this image. */
export class UnknownImageError extends Error {
  constructor(reference: string, images: readonly string[]) {
    super(
      `image ${JSON.stringify(reference)} cannot be had: this node pulls no images, it runs programs of its machine in place of ${images.join(', ') || 'none'}`,
    );
    this.name = 'UnknownImageError';
  }
}
