//! The calls, one per path and method.

use reqwest::Method;

use super::{Client, ClientError};
use crate::addresses::AppAddresses;
use crate::adoption::{
    AdoptApp, AdoptApps, Adoption, Adoptions, DiscoverQuery, Discovery, DriftReport, ExposeApp,
    ExposedApp, Guarding, RestoreKeys, RestorePreview, RestoreQuery,
};
use crate::applies::{Apply, ApplyList, ApplyQuery, StartApply};
use crate::apps::{
    ActionRequest, App, AppList, AppQuery, CreateApp, Preflight, RemovalPlan, RemovalQuery,
    RootPassword, UpdateApp, UpdatePreview,
};
use crate::archive::{ArchiveList, ArchiveQuery, ArchivedApp};
use crate::audit::{AuditReport, VerifyAudit};
use crate::catalog::{CatalogEntry, CatalogList, CatalogQuery, CatalogReload};
use crate::catalog_sources::{
    AddCatalogSource, CatalogDiff, CatalogSource, CatalogSourceList, TakeCatalogSource,
};
use crate::doctor::{DoctorQuery, DoctorReport};
use crate::export::{Export, ExportQuery};
use crate::health::Health;
use crate::helper::{HelperReport, InstallHelper, RemoveHelper};
use crate::hosts::{
    AddHost, CertificateReport, ChangeHost, Host, HostList, HostProbe, SetSsh, TrustCertificate,
};
use crate::identity::{Reidentification, ReidentifyApp};
use crate::init::{InitDone, InitHost, InitPlan, PlanUninit, UninitHost, UninitPlan};
use crate::logs::{LogPage, LogQuery};
use crate::node_loss::{GiveUpNode, NodeLoss};
use crate::nodes::{NodeList, NodeQuery};
use crate::notices::{ChannelList, ChannelTests, TestChannels};
use crate::operations::{Operation, OperationList, OperationQuery};
use crate::plans::{MakePlan, Plan};
use crate::ports::{FreePorts, FreedPorts, PortList, PortQuery};
use crate::reconcile::{JanitorReport, Reconcile, ReconcileReport, RunJanitor};
use crate::rejected::{RejectPlan, RejectedList};
use crate::resources::{
    AtQuery, DiffQuery, HistoryQuery, Resource, ResourceAt, ResourceDiff, ResourceHistory,
    ResourceList, ResourceQuery,
};
use crate::rollback::{DesiredHistory, DesiredQuery, RollbackAll, RollbackApp};
use crate::secrets::{SecretEntry, SecretList, SetSecret};
use crate::sources::{AddSource, AddedSource, Source, SourceList};
use crate::stats::Stats;

type Answer<T> = Result<T, ClientError>;

const NO_QUERY: &[(); 0] = &[];

impl Client {
    /// `GET /api/health`. A degraded server (HTTP 503) is an answer too.
    pub async fn health(&self) -> Answer<Health> {
        let (status, body) = self
            .exchange(self.request(Method::GET, &["health"]))
            .await?;
        serde_json::from_slice(&body).map_err(|e| self.bad_answer(status, e.to_string()))
    }

    /// `GET /api/doctor`.
    pub async fn doctor(&self, query: &DoctorQuery) -> Answer<DoctorReport> {
        self.get(&["doctor"], query).await
    }

    /// `GET /api/stats`.
    pub async fn stats(&self) -> Answer<Stats> {
        self.get(&["stats"], NO_QUERY).await
    }

    /// `GET /api/catalog/`.
    pub async fn catalog(&self, query: &CatalogQuery) -> Answer<CatalogList> {
        self.get(&["catalog", ""], query).await
    }

    /// `GET /api/catalog/{entry}`.
    pub async fn catalog_entry(&self, entry: &str) -> Answer<CatalogEntry> {
        self.get(&["catalog", entry], NO_QUERY).await
    }

    /// `POST /api/catalog-reload`.
    pub async fn reload_catalog(&self) -> Answer<CatalogReload> {
        self.send(self.request(Method::POST, &["catalog-reload"]))
            .await
    }

    /// `POST /api/catalog-sources`.
    pub async fn add_catalog_source(&self, body: &AddCatalogSource) -> Answer<CatalogSource> {
        self.post(&["catalog-sources"], body).await
    }

    /// `GET /api/catalog-sources`.
    pub async fn catalog_sources(&self) -> Answer<CatalogSourceList> {
        self.get(&["catalog-sources"], NO_QUERY).await
    }

    /// `DELETE /api/catalog-sources/{name}`.
    pub async fn remove_catalog_source(&self, name: &str) -> Answer<()> {
        self.send(self.request(Method::DELETE, &["catalog-sources", name]))
            .await
    }

    /// `POST /api/catalog-sources/{name}/diff`. Changes nothing.
    pub async fn diff_catalog_source(&self, name: &str) -> Answer<CatalogDiff> {
        self.send(self.request(Method::POST, &["catalog-sources", name, "diff"]))
            .await
    }

    /// `POST /api/catalog-sources/{name}/take`.
    pub async fn take_catalog_source(
        &self,
        name: &str,
        body: &TakeCatalogSource,
    ) -> Answer<CatalogDiff> {
        self.post(&["catalog-sources", name, "take"], body).await
    }

    /// `GET /api/apps/`.
    pub async fn apps(&self, query: &AppQuery) -> Answer<AppList> {
        self.get(&["apps", ""], query).await
    }

    /// `POST /api/apps/`. With the same key the same app is answered, however often it is sent.
    pub async fn create_app(&self, body: &CreateApp, idempotency_key: &str) -> Answer<App> {
        let request = self
            .request(Method::POST, &["apps", ""])
            .header("idempotency-key", idempotency_key)
            .json(body);
        self.send(request).await
    }

    /// `POST /api/apps/preflight`: what a deploy of this body would find. Changes nothing.
    pub async fn preflight(&self, body: &CreateApp) -> Answer<Preflight> {
        self.post(&["apps", "preflight"], body).await
    }

    /// `GET /api/apps/{id}`; `app` is an id or a host name.
    pub async fn app(&self, app: &str) -> Answer<App> {
        self.get(&["apps", app], NO_QUERY).await
    }

    /// `POST /api/apps/{id}/preview`.
    pub async fn preview_update(&self, app: &str, body: &UpdateApp) -> Answer<UpdatePreview> {
        self.post(&["apps", app, "preview"], body).await
    }

    /// `PATCH /api/apps/{id}`. With the same key the same operation is answered, however often it is sent.
    pub async fn update_app(
        &self,
        app: &str,
        body: &UpdateApp,
        idempotency_key: &str,
    ) -> Answer<Operation> {
        let request = self
            .request(Method::PATCH, &["apps", app])
            .header("idempotency-key", idempotency_key)
            .json(body);
        self.send(request).await
    }

    /// `GET /api/apps/discover`.
    pub async fn discover(&self, query: &DiscoverQuery) -> Answer<Discovery> {
        self.get(&["apps", "discover"], query).await
    }

    /// `POST /api/apps/adopt`. With the same key the same app is answered, however often it is sent.
    pub async fn adopt(&self, body: &AdoptApp, idempotency_key: &str) -> Answer<App> {
        let request = self
            .request(Method::POST, &["apps", "adopt"])
            .header("idempotency-key", idempotency_key)
            .json(body);
        self.send(request).await
    }

    /// `POST /api/apps/adopt/batch`.
    pub async fn adopt_all(&self, body: &AdoptApps) -> Answer<Adoptions> {
        self.post(&["apps", "adopt", "batch"], body).await
    }

    /// `POST /api/plans`.
    pub async fn make_plan(&self, body: &MakePlan) -> Answer<Plan> {
        self.post(&["plans"], body).await
    }

    /// `GET /api/plans/{id}`.
    pub async fn plan(&self, plan: &str) -> Answer<Plan> {
        self.get(&["plans", plan], NO_QUERY).await
    }

    /// `POST /api/plans/{id}/reject`.
    pub async fn reject_plan(&self, plan: &str, body: &RejectPlan) -> Answer<RejectedList> {
        self.post(&["plans", plan, "reject"], body).await
    }

    /// `GET /api/rejected`.
    pub async fn rejected(&self) -> Answer<RejectedList> {
        self.get(&["rejected"], NO_QUERY).await
    }

    /// `DELETE /api/rejected/{name}`.
    pub async fn unreject(&self, app: &str) -> Answer<()> {
        self.send(self.request(Method::DELETE, &["rejected", app]))
            .await
    }

    /// `GET /api/apps/{app}/desired`; `app` is an id or a host name.
    pub async fn desired(&self, app: &str, query: &DesiredQuery) -> Answer<DesiredHistory> {
        self.get(&["apps", app, "desired"], query).await
    }

    /// `POST /api/apps/{app}/rollback`: plans, and changes nothing; `app` is an id or a host name.
    pub async fn rollback_app(&self, app: &str, body: &RollbackApp) -> Answer<Plan> {
        self.post(&["apps", app, "rollback"], body).await
    }

    /// `POST /api/rollback`: plans, and changes nothing.
    pub async fn rollback_all(&self, body: &RollbackAll) -> Answer<Plan> {
        self.post(&["rollback"], body).await
    }

    /// `GET /api/export`.
    pub async fn export(&self, query: &ExportQuery) -> Answer<Export> {
        self.get(&["export"], query).await
    }

    /// `POST /api/applies`. With the same key the same apply is answered, however often it is sent.
    pub async fn start_apply(&self, body: &StartApply, idempotency_key: &str) -> Answer<Apply> {
        let request = self
            .request(Method::POST, &["applies"])
            .header("idempotency-key", idempotency_key)
            .json(body);
        self.send(request).await
    }

    /// `GET /api/applies`.
    pub async fn applies(&self, query: &ApplyQuery) -> Answer<ApplyList> {
        self.get(&["applies"], query).await
    }

    /// `GET /api/applies/{id}`.
    pub async fn apply(&self, id: &str) -> Answer<Apply> {
        self.get(&["applies", id], NO_QUERY).await
    }

    /// `POST /api/applies/{id}/stop`.
    pub async fn stop_apply(&self, id: &str) -> Answer<Apply> {
        self.send(self.request(Method::POST, &["applies", id, "stop"]))
            .await
    }

    /// `GET /api/secrets`.
    pub async fn secrets(&self) -> Answer<SecretList> {
        self.get(&["secrets"], NO_QUERY).await
    }

    /// `PUT /api/secrets/{name}`.
    pub async fn set_secret(&self, name: &str, body: &SetSecret) -> Answer<SecretEntry> {
        let request = self.request(Method::PUT, &["secrets", name]);
        self.send(request.json(body)).await
    }

    /// `DELETE /api/secrets/{name}`.
    pub async fn remove_secret(&self, name: &str) -> Answer<()> {
        self.send(self.request(Method::DELETE, &["secrets", name]))
            .await
    }

    /// `POST /api/sources`.
    pub async fn add_source(&self, body: &AddSource) -> Answer<AddedSource> {
        let request = self.request(Method::POST, &["sources"]);
        self.send(request.json(body)).await
    }

    /// `GET /api/sources`.
    pub async fn sources(&self) -> Answer<SourceList> {
        self.get(&["sources"], NO_QUERY).await
    }

    /// `GET /api/sources/{name}`.
    pub async fn source(&self, name: &str) -> Answer<Source> {
        self.get(&["sources", name], NO_QUERY).await
    }

    /// `DELETE /api/sources/{name}`.
    pub async fn remove_source(&self, name: &str) -> Answer<()> {
        self.send(self.request(Method::DELETE, &["sources", name]))
            .await
    }

    /// `POST /api/sources/{name}/sync`.
    pub async fn look_at_source(&self, name: &str) -> Answer<Source> {
        self.send(self.request(Method::POST, &["sources", name, "sync"]))
            .await
    }

    /// `POST /api/sources/{name}/plan`.
    pub async fn plan_source(&self, name: &str) -> Answer<Plan> {
        self.send(self.request(Method::POST, &["sources", name, "plan"]))
            .await
    }

    /// `GET /api/apps/{id}/adoption`.
    pub async fn adoption(&self, app: &str) -> Answer<Adoption> {
        self.get(&["apps", app, "adoption"], NO_QUERY).await
    }

    /// `GET /api/apps/{id}/drift`.
    pub async fn drift(&self, app: &str) -> Answer<DriftReport> {
        self.get(&["apps", app, "drift"], NO_QUERY).await
    }

    /// `GET /api/apps/{id}/drift/restore`.
    pub async fn restore_preview(&self, app: &str, query: &RestoreQuery) -> Answer<RestorePreview> {
        self.get(&["apps", app, "drift", "restore"], query).await
    }

    /// `POST /api/apps/{id}/drift/restore`.
    pub async fn restore_keys(&self, app: &str, body: &RestoreKeys) -> Answer<Operation> {
        self.post(&["apps", app, "drift", "restore"], body).await
    }

    /// `POST /api/apps/{id}/guard`.
    pub async fn guard(&self, app: &str) -> Answer<Guarding> {
        let request = self.request(Method::POST, &["apps", app, "guard"]);
        self.send(request).await
    }

    /// `DELETE /api/apps/{id}/guard`.
    pub async fn unguard(&self, app: &str) -> Answer<Guarding> {
        let request = self.request(Method::DELETE, &["apps", app, "guard"]);
        self.send(request).await
    }

    /// `POST /api/apps/{id}/expose`.
    pub async fn expose(&self, app: &str, body: &ExposeApp) -> Answer<ExposedApp> {
        self.post(&["apps", app, "expose"], body).await
    }

    /// `DELETE /api/apps/{id}/expose`.
    pub async fn unexpose(&self, app: &str) -> Answer<ExposedApp> {
        let request = self.request(Method::DELETE, &["apps", app, "expose"]);
        self.send(request).await
    }

    /// `POST /api/apps/{id}/action`.
    pub async fn act(&self, app: &str, body: &ActionRequest) -> Answer<Operation> {
        self.post(&["apps", app, "action"], body).await
    }

    /// `GET /api/apps/{id}/addresses`.
    pub async fn addresses(&self, app: &str) -> Answer<AppAddresses> {
        self.get(&["apps", app, "addresses"], NO_QUERY).await
    }

    /// `GET /api/apps/{id}/removal`: what a removal would do.
    pub async fn removal_plan(&self, app: &str, query: &RemovalQuery) -> Answer<RemovalPlan> {
        self.get(&["apps", app, "removal"], query).await
    }

    /// `GET /api/apps/{id}/logs`.
    pub async fn logs(&self, app: &str, query: &LogQuery) -> Answer<LogPage> {
        self.get(&["apps", app, "logs"], query).await
    }

    /// `GET /api/operations`.
    pub async fn operations(&self, query: &OperationQuery) -> Answer<OperationList> {
        self.get(&["operations"], query).await
    }

    /// `GET /api/operations/{id}`.
    pub async fn operation(&self, id: &str) -> Answer<Operation> {
        self.get(&["operations", id], NO_QUERY).await
    }

    /// `POST /api/operations/{id}/retry`.
    pub async fn retry_operation(&self, id: &str) -> Answer<Operation> {
        self.send(self.request(Method::POST, &["operations", id, "retry"]))
            .await
    }

    /// `POST /api/operations/{id}/abandon`.
    pub async fn abandon_operation(&self, id: &str) -> Answer<Operation> {
        self.send(self.request(Method::POST, &["operations", id, "abandon"]))
            .await
    }

    /// `POST /api/operations/{id}/cancel`.
    pub async fn cancel_operation(&self, id: &str) -> Answer<Operation> {
        self.send(self.request(Method::POST, &["operations", id, "cancel"]))
            .await
    }

    /// `GET /api/ports`.
    pub async fn ports(&self, query: &PortQuery) -> Answer<PortList> {
        self.get(&["ports"], query).await
    }

    /// `POST /api/ports/free`: ends the rest of ports of orphans.
    pub async fn free_ports(&self, body: &FreePorts) -> Answer<FreedPorts> {
        self.post(&["ports", "free"], body).await
    }

    /// `GET /api/notify/channels`.
    pub async fn channels(&self) -> Answer<ChannelList> {
        self.get(&["notify", "channels"], NO_QUERY).await
    }

    /// `POST /api/notify/test`.
    pub async fn test_channels(&self, body: &TestChannels) -> Answer<ChannelTests> {
        self.post(&["notify", "test"], body).await
    }

    /// `POST /api/apps/{id}/resolve`; `app` is an id or a host name.
    pub async fn resolve(&self, app: &str) -> Answer<App> {
        self.send(self.request(Method::POST, &["apps", app, "resolve"]))
            .await
    }

    /// `POST /api/apps/{id}/root-password`; `app` is an id or a host name. It is answered once.
    pub async fn show_root_password(&self, app: &str) -> Answer<RootPassword> {
        self.send(self.request(Method::POST, &["apps", app, "root-password"]))
            .await
    }

    /// `POST /api/apps/{id}/reidentify`; `app` is an id or a host name.
    pub async fn reidentify(&self, app: &str, body: &ReidentifyApp) -> Answer<Reidentification> {
        self.post(&["apps", app, "reidentify"], body).await
    }

    /// `POST /api/reconcile`: one pass, now.
    pub async fn reconcile(&self, body: &Reconcile) -> Answer<ReconcileReport> {
        self.post(&["reconcile"], body).await
    }

    /// `POST /api/janitor`: one pass, now.
    pub async fn run_janitor(&self, body: &RunJanitor) -> Answer<JanitorReport> {
        self.post(&["janitor"], body).await
    }

    /// `POST /api/audit/verify`: changes nothing.
    pub async fn verify_audit(&self, body: &VerifyAudit) -> Answer<AuditReport> {
        self.post(&["audit", "verify"], body).await
    }

    /// `GET /api/archive`.
    pub async fn archive(&self, query: &ArchiveQuery) -> Answer<ArchiveList> {
        self.get(&["archive"], query).await
    }

    /// `GET /api/archive/{app}`; `app` is an id, or the host name that one app alone had.
    pub async fn archived(&self, app: &str) -> Answer<ArchivedApp> {
        self.get(&["archive", app], NO_QUERY).await
    }

    /// `GET /api/resources`.
    pub async fn resources(&self, query: &ResourceQuery) -> Answer<ResourceList> {
        self.get(&["resources"], query).await
    }

    /// `GET /api/resources/{resource}`.
    pub async fn resource(&self, resource: &str) -> Answer<Resource> {
        self.get(&["resources", resource], NO_QUERY).await
    }

    /// `GET /api/resources/{resource}/history`.
    pub async fn resource_history(
        &self,
        resource: &str,
        query: &HistoryQuery,
    ) -> Answer<ResourceHistory> {
        self.get(&["resources", resource, "history"], query).await
    }

    /// `GET /api/resources/{resource}/at`.
    pub async fn resource_at(&self, resource: &str, query: &AtQuery) -> Answer<ResourceAt> {
        self.get(&["resources", resource, "at"], query).await
    }

    /// `GET /api/resources/{resource}/diff`.
    pub async fn resource_diff(&self, resource: &str, query: &DiffQuery) -> Answer<ResourceDiff> {
        self.get(&["resources", resource, "diff"], query).await
    }

    /// `GET /api/proxmox/hosts`.
    pub async fn hosts(&self) -> Answer<HostList> {
        self.get(&["proxmox", "hosts"], NO_QUERY).await
    }

    /// `POST /api/proxmox/hosts/probe`: looks, stores nothing.
    pub async fn probe_host(&self, body: &AddHost) -> Answer<HostProbe> {
        self.post(&["proxmox", "hosts", "probe"], body).await
    }

    /// `POST /api/proxmox/hosts`.
    pub async fn add_host(&self, body: &AddHost) -> Answer<Host> {
        self.post(&["proxmox", "hosts"], body).await
    }

    /// `GET /api/proxmox/hosts/{id}`; `host` is an id or a label.
    pub async fn host(&self, host: &str) -> Answer<Host> {
        self.get(&["proxmox", "hosts", host], NO_QUERY).await
    }

    /// `PATCH /api/proxmox/hosts/{id}`.
    pub async fn change_host(&self, host: &str, body: &ChangeHost) -> Answer<Host> {
        self.send(
            self.request(Method::PATCH, &["proxmox", "hosts", host])
                .json(body),
        )
        .await
    }

    /// `DELETE /api/proxmox/hosts/{id}/nodes/{node}`.
    pub async fn forget_node(&self, host: &str, node: &str) -> Answer<Host> {
        let path = ["proxmox", "hosts", host, "nodes", node];
        self.send(self.request(Method::DELETE, &path)).await
    }

    /// `POST /api/proxmox/hosts/{id}/nodes/{node}/loss`: shows, or does what a person confirmed.
    pub async fn give_up_node(
        &self,
        host: &str,
        node: &str,
        body: &GiveUpNode,
    ) -> Answer<NodeLoss> {
        let path = ["proxmox", "hosts", host, "nodes", node, "loss"];
        self.post(&path, body).await
    }

    /// `PUT /api/proxmox/hosts/{id}/nodes/{node}/ssh`.
    pub async fn set_host_ssh(&self, host: &str, node: &str, body: &SetSsh) -> Answer<Host> {
        let path = ["proxmox", "hosts", host, "nodes", node, "ssh"];
        self.send(self.request(Method::PUT, &path).json(body)).await
    }

    /// `PUT /api/proxmox/hosts/{id}/certificate`.
    pub async fn trust_certificate(
        &self,
        host: &str,
        body: &TrustCertificate,
    ) -> Answer<CertificateReport> {
        let path = ["proxmox", "hosts", host, "certificate"];
        self.send(self.request(Method::PUT, &path).json(body)).await
    }

    /// `PUT /api/proxmox/hosts/{id}/helper`.
    pub async fn install_helper(&self, host: &str, body: &InstallHelper) -> Answer<HelperReport> {
        let path = ["proxmox", "hosts", host, "helper"];
        self.send(self.request(Method::PUT, &path).json(body)).await
    }

    /// `POST /api/proxmox/hosts/{id}/helper/removal`.
    pub async fn remove_helper(&self, host: &str, body: &RemoveHelper) -> Answer<HelperReport> {
        let path = ["proxmox", "hosts", host, "helper", "removal"];
        self.send(self.request(Method::POST, &path).json(body))
            .await
    }

    /// `POST /api/proxmox/hosts/init/plan`: looks, changes nothing.
    pub async fn plan_init(&self, body: &InitHost) -> Answer<InitPlan> {
        self.post(&["proxmox", "hosts", "init", "plan"], body).await
    }

    /// `POST /api/proxmox/hosts/init`.
    pub async fn init_host(&self, body: &InitHost) -> Answer<InitDone> {
        self.post(&["proxmox", "hosts", "init"], body).await
    }

    /// `POST /api/proxmox/hosts/{host}/uninit/plan`: looks, changes nothing.
    pub async fn plan_uninit(&self, host: &str, body: &PlanUninit) -> Answer<UninitPlan> {
        let path = ["proxmox", "hosts", host, "uninit", "plan"];
        self.post(&path, body).await
    }

    /// `POST /api/proxmox/hosts/{host}/uninit`.
    pub async fn uninit_host(&self, host: &str, body: &UninitHost) -> Answer<UninitPlan> {
        self.post(&["proxmox", "hosts", host, "uninit"], body).await
    }

    /// `GET /api/proxmox/nodes`.
    pub async fn nodes(&self, query: &NodeQuery) -> Answer<NodeList> {
        self.get(&["proxmox", "nodes"], query).await
    }

    /// `DELETE /api/proxmox/hosts/{id}`; `host` is an id or a label.
    pub async fn remove_host(&self, host: &str) -> Answer<()> {
        self.send(self.request(Method::DELETE, &["proxmox", "hosts", host]))
            .await
    }
}
