/** The images that a node can run: each stands for a program of this machine. */
export interface LocalImages {
  /** Names of the images, for messages. */
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

/** The name without tag and digest. A colon before the last slash belongs to a registry's port. */
function repositoryOf(reference: string): string {
  const [name = ''] = reference.split('@');
  const tag = name.lastIndexOf(':');
  return tag > name.lastIndexOf('/') ? name.slice(0, tag) : name;
}

/** No program of this machine stands for this image. */
export class UnknownImageError extends Error {
  constructor(reference: string, images: readonly string[]) {
    super(
      `image ${JSON.stringify(reference)} cannot be had: this node pulls no images, it runs programs of its machine in place of ${images.join(', ') || 'none'}`,
    );
    this.name = 'UnknownImageError';
  }
}
