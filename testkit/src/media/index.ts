export * from './clip.ts';
export * from './clip-sender.ts';
export * from './frame-ledger.ts';
export * from './h264.ts';
export * from './plain-rtp.ts';
export * from './receiver-report.ts';
