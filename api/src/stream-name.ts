import { z } from 'zod';

/**
 * Names that no URL reaches: a client resolves `.` and `..` away (RFC 3986 section 5.2.4), and nodes have their sessions at
 * `/whip/sessions/...` in whatever case.
 */
const RESERVED_APP = '(?:\\.{1,2}|[Ss][Ee][Ss][Ss][Ii][Oo][Nn][Ss])';
const APP = `(?!${RESERVED_APP}(?:/|$))[A-Za-z0-9_.-]{1,64}`;
const NAME = '(?!\\.{1,2}$)[A-Za-z0-9_.-]{1,128}';
const RULE = 'letters, digits, "_", "." and "-", though neither "." nor ".."';
const APP_RULE = `${RULE}, nor "sessions", where nodes have their sessions`;

/** The one rule for stream names, `app/name`: at placement, at publishing, on the agent channel and on trunks. */
export const StreamName = z
  .string()
  .regex(
    new RegExp(`^${APP}/${NAME}$`),
    `must be app/name: each half of ${RULE}; the app not "sessions", where nodes have their sessions`,
  );

/** The halves of a stream name, where a path has them apart. */
export const STREAM_NAME_HALVES = {
  app: z.string().regex(new RegExp(`^${APP}$`), `must be of ${APP_RULE}`),
  name: z.string().regex(new RegExp(`^${NAME}$`), `must be of ${RULE}`),
};
