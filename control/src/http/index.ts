/** Control's HTTP API: placement for apps, redirects for clients, streams and topology for the console. */
export { controlApp } from './app.ts';
