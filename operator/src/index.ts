// The operator: turns MediaEdges, RelayMeshes and StreamRoutes into pods, routes and status. It talks to the Kubernetes API alone.
//
//   main.ts       the process: flags, environment, signals
//   start.ts      startOperator: client, ops server, operator
//   operator.ts   caches, leader election, controllers
//   mediaedge/ relaymesh/ streamroute/   one controller each: observe → plan (pure) → apply
//   kube/         client, caches, queues, leader election
export { startOperator, type OperatorHandle, type StartOptions } from './start.ts';
export { OperatorConfig } from './config.ts';
