import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConfigError, loadConfig } from '@millrace/service';
import { Flags, profilesOf } from './flags.ts';

const ENDS = ['--listen', '127.0.0.1:5000', '--to', '[::1]:6000'];
const read = (...argv: string[]) => loadConfig(Flags, { argv: [...ENDS, ...argv] });

function errorsOf(...argv: string[]): string {
  try {
    read(...argv);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return assert.fail('accepted');
}

describe('command line flags', () => {
  test('set both directions of a link, in common units', () => {
    const { there, back } = profilesOf(
      read(
        '--loss',
        '10%',
        '--rtt',
        '80ms',
        '--rate',
        '2Mbps',
        '--jitter',
        '0.02s',
        '--queue',
        '150',
        '--mtu',
        '1280',
        '--seed',
        '7',
      ),
    );
    const both = {
      delayMs: 40,
      jitterMs: 20,
      keepsOrder: true,
      loss: 0.1,
      rateKbps: 2000,
      queueMs: 150,
      mtuBytes: 1280,
      cut: false,
    };
    assert.deepEqual([there, back], [both, both]);
    const { listen, to, seed } = read('--seed', '7');
    assert.deepEqual([listen, to, seed], [{ address: '127.0.0.1', port: 5000 }, { address: '::1', port: 6000 }, 7]);
  });

  test('cut one direction or both', () => {
    const cutsOf = (cut: string) => Object.values(profilesOf(read('--cut', cut))).map((profile) => profile.cut);
    assert.deepEqual(['none', 'there', 'back', 'both'].map(cutsOf), [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ]);
  });

  test('with invalid values are rejected together, each with an example of the format', () => {
    const errors = errorsOf('--loss', 'ten', '--rtt', '80 parsecs', '--rate', 'fast', '--los', '1%');
    assert.match(errors, /--loss: .*write it as 10% or 0.1/);
    assert.match(errors, /--rtt: .*write it as 80ms/);
    assert.match(errors, /--rate: .*write it as 2Mbps/);
    assert.match(errors, /--los: unknown argument/);
    assert.match(errorsOf('--listen', 'localhost:5000'), /--listen: .*IP address and a port/);
    assert.match(errorsOf('--to', '127.0.0.1:70000'), /--to: .*IP address and a port/);
  });

  test('that exclude each other, or describe an impossible link, are rejected', () => {
    assert.throws(() => profilesOf(read('--loss', '200%')), /loss is 2: must be 0 to 1/);
    assert.throws(() => profilesOf(read('--rtt', '80ms', '--delay', '40ms')), /--rtt and --delay/);
  });
});
