import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { KubeObject } from '../object.ts';

/** One change of one object: stored (as JSON `text`) or removed (undefined) at `revision`. */
export interface Change {
  resource: string;
  namespace: string;
  name: string;
  revision: number;
  text: string | undefined;
}

/**
 * The store's file: SQLite in WAL mode with synchronous=FULL, so that a committed batch is on disk before it is acknowledged,
 * frames are checksummed, and a torn tail is dropped on open (https://sqlite.org/wal.html).
 */
export class Database {
  readonly #db: DatabaseSync;
  readonly #put;
  readonly #delete;
  readonly #setRevision;

  /** Throws an Error that names the file and the remedy when the file cannot be opened. */
  constructor(file: string) {
    try {
      this.#db = open(file);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`cannot open the store ${file}: ${why}. ${remedy(why)}`, { cause: error });
    }
    this.#put = this.#db.prepare('INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)');
    this.#delete = this.#db.prepare('DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?');
    this.#setRevision = this.#db.prepare('UPDATE revision SET value = ?');
  }

  revision(): number {
    return Number(this.#db.prepare('SELECT value FROM revision').get()?.['value']);
  }

  *objects(): Generator<{ resource: string; object: KubeObject }> {
    for (const row of this.#db.prepare('SELECT resource, body FROM objects').iterate()) {
      yield { resource: String(row['resource']), object: JSON.parse(String(row['body'])) as KubeObject };
    }
  }

  /** Stores a batch: all of it, or (when it throws, as on a full disk) nothing. Returns when it is on disk. */
  commit(changes: readonly Change[]): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      for (const { resource, namespace, name, text } of changes) {
        if (text !== undefined) this.#put.run(resource, namespace, name, text);
        else this.#delete.run(resource, namespace, name);
      }
      const last = changes.at(-1);
      if (last) this.#setRevision.run(last.revision);
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  close(): void {
    this.#db.close();
  }
}

function open(file: string): DatabaseSync {
  // The file contains Secrets, so only its owner may read it; the WAL inherits the mode.
  closeSync(openSync(file, 'a', 0o600));
  const db = new DatabaseSync(file);
  try {
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE;
      CREATE TABLE IF NOT EXISTS objects (resource TEXT, namespace TEXT, name TEXT, body TEXT NOT NULL,
        PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS revision (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL);
      INSERT OR IGNORE INTO revision VALUES (1, 1);`);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** What SQLite's error means and how to fix it. */
function remedy(why: string): string {
  if (/locked/.test(why)) return 'Another process uses this folder: stop it, or choose another folder';
  if (/full|no space/i.test(why)) return 'Free space on this disk and start again';
  if (/malformed|not a database/.test(why))
    return 'The file is damaged: restore it from a copy, or remove the folder to begin anew';
  return 'Give this user the right to read and write there';
}
