import Control
import Foundation
import HTTPTypes
import Hummingbird
import TradingHTTP

/// The routes of `listen.ops` that read. None of them changes anything.
struct OperationsAPI: Sendable {
    let metrics: MetricsPage
    let health: HealthAssembly
    let status: StatusAssembly

    func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.get("metrics") { request, _ in
            let format = ExpositionFormat(accept: request.headers[.accept])
            return Response.metrics(await metrics.scrape(format), format)
        }
        router.get("healthz") { _, _ in Envelope.success { $0.value("alive") } }
        router.get("readyz") { _, _ in await readiness() }
        router.get("api/ops/status") { _, _ in
            let report = await status.report()
            let body = String(decoding: try JSONEncoder().encode(report), as: UTF8.self)
            return Envelope.success { $0.raw(body) }
        }
        return router
    }

    private func readiness() async -> Response {
        let services = await health.services.all().map(\.reading)
        let reason = ReadinessDecision.reasonNotReady(
            services, checks: await health.monitor.readings())
        if let reason { return Envelope.failure(.serviceUnavailable, reason) }
        return Envelope.success { $0.value("ready") }
    }
}

/// Whether the desk as a whole should get traffic.
enum ReadinessDecision {
    /// Not while a service is not well, or a service's own check finds it unhealthy. A check of
    /// something else, such as a disk that fills up, is a finding and no reason to turn traffic away.
    static func reasonNotReady(
        _ services: [ServiceReading], checks: [HealthReading]
    ) -> String? {
        for service in services {
            if let problem = service.problem { return "\(service.name) \(problem)" }
        }
        let unhealthy = checks.first { $0.service != nil && $0.status == .unhealthy }
        return unhealthy.map { "check \($0.name) is unhealthy: \($0.message)" }
    }
}
