// The operator turns MediaEdges, RelayMeshes and StreamRoutes into pods, routes and status. It talks only to the Kubernetes API.
//
//   main.ts       the process: flags, environment, signals
//   start.ts      startOperator: client, ops server, operator
//   operator.ts   caches, leader election, controllers
//   control-tls/ control's certificate, and the authorities that nodes trust
//   mediaedge/ relaymesh/ streamroute/   one controller each: observe → plan (pure) → apply
export { startOperator, type OperatorHandle, type StartOptions } from './start.ts';
export { OperatorConfig } from './config.ts';
export { Operator } from './operator.ts';
export { EdgeMetrics, NODE_LABEL, templateHash } from './mediaedge/index.ts';
