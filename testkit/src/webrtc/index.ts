export * from './werift.ts';
