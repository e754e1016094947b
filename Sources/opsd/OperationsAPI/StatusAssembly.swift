import Control
import Foundation
import Ledger

/// Gathers the report that `GET /api/ops/status` gives.
struct StatusAssembly: Sendable {
    let health: HealthAssembly
    let children: BuiltinChildren
    let scheduler: JobScheduler
    let verification: VerificationMetrics
    /// Why the daemon cannot write down what happens; nil when it can.
    var controlProblem: @Sendable () -> String? = { nil }

    func report() async -> StatusReport {
        let configuration = health.current.value
        let coreName = configuration.services.first { $0.program == .builtin(.core) }?.name
        async let core = coreReport(coreName)
        async let reviews = openReviews(coreName)
        async let readings = health.monitor.readings()
        let services = await health.services.all()
        await verification.refresh()
        let after = Self.predecessors(configuration.services)
        let report = StatusReport(
            node: configuration.node, version: BuildInformation.version,
            time: Timestamp.now().description,
            services: services.map { Self.entry($0.status, $0.reading, after) },
            health: await readings.map(Self.entry), core_service: coreName, core: await core,
            jobs: await scheduler.status().map { StatusReport.Job($0) },
            verification: verification.report(reviews: await reviews),
            control_problem: controlProblem())
        return StatusJudgement.judged(report)
    }

    private func coreReport(_ name: String?) async -> StatusReport.Core? {
        guard let name, let answer = await children.ask(name, "/control/status") else {
            return nil
        }
        return try? answer.data(StatusReport.Core.self)
    }

    /// Repairs that wait for a person, by check; nil when the core does not say.
    private func openReviews(_ name: String?) async -> [String: Int]? {
        guard let name, let answer = await children.ask(name, "/control/repairs"),
            let repairs = try? answer.data([RepairLine].self)
        else { return nil }
        return repairs.reduce(into: [:]) { counts, repair in
            if repair.state == "waiting" { counts[repair.check, default: 0] += 1 }
        }
    }

    // MARK: Parts

    private static func predecessors(_ services: [ServiceSettings]) -> [String: [String]] {
        var after: [String: [String]] = [:]
        for service in services {
            after[service.name, default: []] += service.after
            for later in service.before { after[later, default: []].append(service.name) }
        }
        return after
    }

    private static func entry(
        _ status: ServiceStatus, _ reading: ServiceReading, _ after: [String: [String]]
    ) -> StatusReport.Service {
        StatusReport.Service(
            name: status.name, state: status.state.word, pid: status.pid.map(Int.init),
            restarts: status.restarts, since: status.since.description,
            last_exit: status.lastExit, not_ready: reading.notReady,
            problem: reading.problem ?? reading.instability(at: .now()),
            after: after[status.name] ?? [])
    }

    private static func entry(_ reading: HealthReading) -> StatusReport.Check {
        var dependsOn = reading.dependsOn
        if case .service(let name) = reading.probe, !dependsOn.contains(name) {
            dependsOn.append(name)
        }
        return StatusReport.Check(
            name: reading.name, kind: reading.probe.kind, status: reading.status.rawValue,
            since: reading.since.description, message: reading.message,
            last_outcome: reading.lastOutcome?.word, checked_at: reading.checkedAt?.description,
            failures_in_row: reading.failuresInRow, service: reading.service,
            depends_on: dependsOn, look: reading.probe.lookCommand)
    }
}

extension HealthProbe {
    /// What a person types to see what the probe sees. Arguments, user names and query strings are
    /// left out: secrets live there.
    var lookCommand: String {
        switch self {
        case .http(let url, _): "curl -v \(Self.withoutSecrets(url))"
        case .tcp(let host, let port): "nc -zv \(host) \(port)"
        case .command(let words): "run \(words.first ?? "the program") by hand"
        case .disk(let path, _): "df -h \(path)"
        case .process(let file): "ps -fp $(cat \(file))"
        case .fileAge(let path, _): "ls -l \(path)"
        case .service(let name): "opsd service logs \(name)"
        case .store(let probe): probe.lookCommand
        }
    }

    private static func withoutSecrets(_ url: String) -> String {
        guard var parts = URLComponents(string: url) else { return "the check's URL" }
        (parts.user, parts.password, parts.query, parts.fragment) = (nil, nil, nil, nil)
        return parts.string ?? "the check's URL"
    }
}

extension StoreProbe {
    /// Where the server is, the configuration says.
    fileprivate var lookCommand: String {
        switch question {
        case .answers: "redis-cli PING"
        case .backlog(let stream, _): "redis-cli XINFO GROUPS \(stream)"
        case .freshness: "redis-cli --scan"
        }
    }
}
