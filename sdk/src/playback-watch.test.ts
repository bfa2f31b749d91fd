import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PlaybackWatch, type PlaybackSample } from './playback-watch.ts';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0';

/** Samples counters that grow by `perSecond` once a second, for `seconds`; returns the problem found at each sample. */
function watched(
  perSecond: Partial<PlaybackSample>,
  seconds: number,
  options: { isPaused?: boolean; decodable?: string[] } = {},
) {
  const context = { node: 'edge-0', decodable: options.decodable ?? ['VP8', 'VP9', 'AV1'], userAgent: FIREFOX };
  const watch = new PlaybackWatch(context, 0);
  return Array.from({ length: seconds }, (_, i) => {
    const at = i + 1;
    const { packets = 0, videoPackets = 0, framesDecoded = 0, codec = '' } = perSecond;
    const sample = { packets: packets * at, videoPackets: videoPackets * at, framesDecoded: framesDecoded * at, codec };
    return watch.look(sample, options.isPaused ?? false, at * 1_000);
  });
}

describe('the reason why a viewer has no picture', () => {
  test('frames that are decoded are no problem', () => {
    assert.ok(watched({ packets: 150, videoPackets: 100, framesDecoded: 30 }, 60).every((problem) => problem === undefined));
  });

  test('sound alone is no problem', () => {
    assert.ok(watched({ packets: 50 }, 60).every((problem) => problem === undefined));
  });

  test('no packet for five seconds after the connection is up is NoMedia and names the node', () => {
    const problems = watched({}, 6);
    assert.deepEqual(
      problems.map((problem) => problem?.reason),
      [undefined, undefined, undefined, undefined, 'NoMedia', 'NoMedia'],
    );
    assert.equal(problems[4]!.message, 'edge-0 is connected, but has sent nothing yet');
  });

  test('a stream that its node has paused is no problem', () => {
    assert.ok(watched({}, 60, { isPaused: true }).every((problem) => problem === undefined));
  });

  test('video without a decoded frame is NotDecoded and names its codec and those of the browser', () => {
    const problem = watched({ packets: 150, videoPackets: 100, codec: 'H264' }, 7).at(-1)!;
    assert.equal(problem.reason, 'NotDecoded');
    assert.equal(problem.message, 'H264 arrives, but this browser decodes none of it');
    assert.match(problem.remedy, /^It can decode VP8, VP9, AV1: publish one of these/);
    assert.match(problem.remedy, /Firefox downloads its H.264 decoder/);
  });

  test('a codec that the browser claims to decode is not reported as unsupported', () => {
    const problem = watched({ packets: 150, videoPackets: 100, codec: 'VP9' }, 7).at(-1)!;
    assert.match(problem.remedy, /^Reload the page/);
  });

  test('the problem ends with the first frame', () => {
    const watch = new PlaybackWatch({ node: 'edge-0', decodable: ['VP8'], userAgent: '' }, 0);
    const sample = { packets: 10, videoPackets: 10, framesDecoded: 0, codec: 'VP8' };
    assert.equal(watch.look({ ...sample, packets: 0, videoPackets: 0 }, false, 5_000)?.reason, 'NoMedia');
    assert.equal(watch.look({ ...sample, framesDecoded: 1 }, false, 6_000), undefined);
    assert.equal(watch.look({ ...sample, packets: 20, videoPackets: 20, framesDecoded: 1 }, false, 7_000), undefined);
  });
});
