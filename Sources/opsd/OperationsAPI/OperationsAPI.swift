import Control
import Foundation
import HTTPTypes
import Hummingbird
import Ledger
import NIOCore
import TradingHTTP

/// The routes of `listen.ops` that read. None of them changes anything.
struct OperationsAPI: Sendable {
    let configuration: Configuration
    let supervisor: Supervisor
    let registry: MetricsRegistry
    let children: BuiltinChildren

    func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.get("metrics") { request, _ in
            await metrics(ExpositionFormat(accept: request.headers[.accept]))
        }
        router.get("healthz") { _, _ in Envelope.success { $0.value("alive") } }
        router.get("readyz") { _, _ in await readiness() }
        router.get("api/ops/status") { _, _ in try await status() }
        return router
    }

    /// One scrape: the supervisor's own series and those of every child that answers.
    private func metrics(_ format: ExpositionFormat) async -> Response {
        let texts = [registry.encode(.text)] + (await children.metrics())
        return Response.metrics(ExpositionMerger.merge(texts, format: format).bytes, format)
    }

    private func readiness() async -> Response {
        for status in await supervisor.status() {
            guard case .running = status.state else {
                return Envelope.failure(
                    .serviceUnavailable, "\(status.name) is \(status.state.word)")
            }
            if let reason = await children.reasonNotReady(status.name) {
                return Envelope.failure(.serviceUnavailable, "\(status.name): \(reason)")
            }
        }
        return Envelope.success { $0.value("ready") }
    }

    private func status() async throws -> Response {
        var services: [StatusReport.Service] = []
        for status in await supervisor.status() {
            var notReady: String?
            if case .running = status.state {
                notReady = await children.reasonNotReady(status.name)
            }
            services.append(
                StatusReport.Service(
                    name: status.name, state: status.state.word, pid: status.pid.map(Int.init),
                    restarts: status.restarts, since: status.since.description,
                    last_exit: status.lastExit, not_ready: notReady))
        }
        let report = StatusReport(
            node: configuration.node, version: BuildInformation.version,
            time: Timestamp.now().description, services: services, core: await coreReport())
        let body = String(decoding: try JSONEncoder().encode(report), as: UTF8.self)
        return Envelope.success { $0.raw(body) }
    }

    private func coreReport() async -> StatusReport.Core? {
        let core = configuration.services.first { $0.program == .builtin(.core) }
        guard let core, let answer = await children.ask(core.name, "/control/status") else {
            return nil
        }
        return try? answer.data(StatusReport.Core.self)
    }
}
