import type { MediaEdge } from '@millrace/api';
import {
  configMaps,
  createController,
  isRefusal,
  secrets,
  trigger,
  type ConfigMap,
  type Controller,
  type Informer,
  type ReconcileContext,
  type Secret,
  type Trigger,
} from '@millrace/kube';
import { createAuthority, issueServerCertificate, type KeyPair } from '@millrace/service/certificates';
import { whyRefused } from '../attempts.ts';
import type { TermDependencies } from '../term.ts';
import { judgeForeign, judgeOwnConfigMap, judgeRefusal } from './judge.ts';
import type { AuthorityKeys, ControlTlsPlan } from './model.ts';
import { AUTHORITY_SECRET, certificateNames, FIELD_MANAGER, OWN_LABEL, SERVING_SECRET, TRUST_CONFIG_MAP } from './names.ts';
import { observeAuthority, observePublished, observeServing, textOf } from './observe.ts';
import { planControlTls, RECHECK_MS } from './plan.ts';
import type { ControlTrust } from './trust.ts';
import type { TrustVerdict, TrustVerdicts } from './verdicts.ts';

export interface ControlTlsDependencies extends TermDependencies {
  readonly edges: Informer<MediaEdge>;
  readonly trust: ControlTrust;
  readonly controlUrl: string;
  /** Where control's Leases are, and so control: it gets its certificate before there is an edge. */
  readonly controlNamespace: string;
  readonly verdicts: TrustVerdicts;
}

/** Keeps control's certificate, and what nodes trust, in control's namespace and each one with MediaEdges. Keys are namespaces. */
export function createControlTlsController(deps: ControlTlsDependencies): Controller {
  const reconciler = new ControlTlsReconciler(deps);
  const always: Trigger = {
    whenSynced: () => Promise.resolve(),
    subscribe: (enqueue) => {
      enqueue(deps.controlNamespace);
      return () => undefined;
    },
  };
  return createController({
    name: 'control-tls',
    fence: deps.fence,
    logger: deps.logger,
    clock: deps.clock,
    random: deps.random,
    metrics: deps.metrics,
    reconcile: (key, context) => reconciler.reconcile(key, context),
    watches: [always, trigger(deps.edges, (edge, change) => (change.type === 'updated' ? [] : [edge.metadata.namespace ?? '']))],
  });
}

class ControlTlsReconciler {
  readonly #deps: ControlTlsDependencies;

  constructor(deps: ControlTlsDependencies) {
    this.#deps = deps;
  }

  async reconcile(namespace: string, { signal }: ReconcileContext): Promise<{ requeueAfterMs?: number }> {
    const { edges, trust, verdicts } = this.#deps;
    const isUsed = edges.store.list().some(({ metadata }) => metadata.namespace === namespace);
    if (!isUsed && namespace !== this.#deps.controlNamespace) {
      verdicts.forget(namespace);
      return {};
    }
    try {
      const verdict = trust.kind === 'managed' ? await this.#manage(namespace, signal) : await this.#check(namespace, signal);
      verdicts.set(namespace, verdict);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#deps.logger.error({ namespace, why: whyRefused(error) }, "the API refuses what control's certificate needs");
      verdicts.set(namespace, judgeRefusal(trust, whyRefused(error)));
    }
    return { requeueAfterMs: RECHECK_MS };
  }

  /** What is not the operator's is only looked at. */
  async #check(namespace: string, signal: AbortSignal): Promise<TrustVerdict> {
    const { trust, client } = this.#deps;
    if (trust.kind !== 'own' || trust.configMap === undefined) return { ok: true };
    return judgeOwnConfigMap(trust.configMap, await client.find(configMaps, { namespace, name: trust.configMap }, { signal }));
  }

  async #manage(namespace: string, signal: AbortSignal): Promise<TrustVerdict> {
    const { client, clock, controlUrl } = this.#deps;
    const find = (name: string): Promise<Secret | undefined> => client.find(secrets, { namespace, name }, { signal });
    const [authoritySecret, servingSecret, trustMap] = await Promise.all([
      find(AUTHORITY_SECRET),
      find(SERVING_SECRET),
      client.find(configMaps, { namespace, name: TRUST_CONFIG_MAP }, { signal }),
    ]);
    const names = certificateNames(controlUrl, namespace);
    const authority = observeAuthority(authoritySecret);
    const serving = observeServing(servingSecret, authority, names);
    const published = observePublished(trustMap);
    const plan = planControlTls({ nowMs: clock.wall(), names, authority, serving, published });
    if (plan.foreign.length > 0) return judgeForeign(plan.foreign);
    const keys = await this.#keepAuthority(namespace, plan, authoritySecret, signal);
    await this.#publish(namespace, keys, trustMap, signal);
    if (plan.issue) await this.#issue(namespace, plan.issue, keys, servingSecret, signal);
    return { ok: true };
  }

  async #keepAuthority(
    namespace: string,
    { createAuthority: validity, earlier, forgetEnded }: ControlTlsPlan,
    known: Secret | undefined,
    signal: AbortSignal,
  ): Promise<AuthorityKeys> {
    if (known && !validity && !forgetEnded) return keysOf(known, earlier);
    const current = validity
      ? await createAuthority({ ...validity, commonName: `${AUTHORITY_SECRET} ${namespace}` })
      : keysOf(known!, earlier).current;
    if (validity) this.#deps.logger.info({ namespace, why: validity.why }, 'new authority for the certificate of control');
    const keys = { current, earlier };
    await this.#write(secretOf(namespace, AUTHORITY_SECRET, current, bundleOf(keys)), known, signal);
    return keys;
  }

  async #publish(namespace: string, keys: AuthorityKeys, known: ConfigMap | undefined, signal: AbortSignal): Promise<void> {
    const { client, logger } = this.#deps;
    const bundle = bundleOf(keys);
    if (known?.data?.['ca.crt'] === bundle) return;
    const options = { signal, fieldManager: FIELD_MANAGER };
    if (known) await client.update(configMaps, { ...known, data: { 'ca.crt': bundle } }, options);
    else
      await client.create(
        configMaps,
        { metadata: ownMetadata(namespace, TRUST_CONFIG_MAP), data: { 'ca.crt': bundle } },
        options,
      );
    logger.info({ namespace, authorities: 1 + keys.earlier.length }, 'published the authorities that nodes trust');
  }

  async #issue(
    namespace: string,
    issue: NonNullable<ControlTlsPlan['issue']>,
    keys: AuthorityKeys,
    known: Secret | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const pair = await issueServerCertificate(keys.current, { ...issue, commonName: issue.names[0] ?? SERVING_SECRET });
    await this.#write(secretOf(namespace, SERVING_SECRET, pair, bundleOf(keys)), known, signal);
    this.#deps.logger.info(
      { namespace, why: issue.why, ends: new Date(issue.toMs).toISOString() },
      'issued a certificate for control',
    );
  }

  /** Replaces only what was observed: another leader may have written meanwhile. */
  async #write(secret: Secret, known: Secret | undefined, signal: AbortSignal): Promise<void> {
    const { client } = this.#deps;
    const options = { signal, fieldManager: FIELD_MANAGER };
    if (!known) return void (await client.create(secrets, secret, options));
    const { resourceVersion, labels, annotations } = known.metadata ?? {};
    const metadata = { ...secret.metadata, resourceVersion, labels: { ...labels, ...secret.metadata?.labels }, annotations };
    await client.update(secrets, { ...secret, metadata }, options);
  }
}

function keysOf(secret: Secret, earlier: readonly string[]): AuthorityKeys {
  return { current: { cert: textOf(secret, 'tls.crt'), key: textOf(secret, 'tls.key') }, earlier };
}

/** The authority that signs first, then those that it replaced. */
function bundleOf({ current, earlier }: AuthorityKeys): string {
  return [current.cert, ...earlier].join('');
}

function secretOf(namespace: string, name: string, { cert, key }: KeyPair, bundle: string): Secret {
  const encoded = (text: string): string => Buffer.from(text).toString('base64');
  return {
    metadata: ownMetadata(namespace, name),
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': encoded(cert), 'tls.key': encoded(key), 'ca.crt': encoded(bundle) },
  };
}

function ownMetadata(namespace: string, name: string): { namespace: string; name: string; labels: Record<string, string> } {
  return { namespace, name, labels: { [OWN_LABEL.key]: OWN_LABEL.value } };
}
