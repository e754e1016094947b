import Control
import Ledger

/// Whether anything is wrong, by the parts of a report: each cause once, with what to type next.
struct StatusJudgement {
    private let report: StatusReport
    private let verdict: HealthVerdict

    /// The report with its verdict, its findings, and the consequences marked.
    static func judged(_ report: StatusReport) -> StatusReport {
        var report = report
        let judgement = StatusJudgement(report)
        for index in report.health.indices {
            report.health[index].consequence_of =
                (judgement.verdict.consequences[report.health[index].name] ?? [])
                .map(Self.shortName)
        }
        report.findings =
            judgement.serviceFindings + judgement.checkFindings + judgement.coreFindings
            + findings(
                of: report.verification ?? [], core: report.core, at: Timestamp(report.time))
            + judgement.jobFindings + judgement.controlFindings
        report.verdict =
            report.findings.contains(where: \.is_doubt)
            ? .unknown : report.findings.isEmpty ? .well : .wrong
        return report
    }

    private init(_ report: StatusReport) {
        self.report = report
        let checks = report.health.filter { !Self.isBuiltIn($0) }
        let names = Set(checks.map(\.name))
        verdict = HealthVerdict(
            report.services.map(Self.node) + checks.map { Self.node($0, among: names) })
    }

    // MARK: What depends on what

    private static func serviceNode(_ name: String) -> String {
        HealthAssembly.builtInName(ofService: name)
    }

    private static func shortName(_ node: String) -> String {
        node.hasPrefix(serviceNode("")) ? String(node.dropFirst(serviceNode("").count)) : node
    }

    /// The built-in check of a service looks at what the report says of the service itself, only
    /// less often.
    private static func isBuiltIn(_ check: StatusReport.Check) -> Bool {
        check.name.hasPrefix(serviceNode(""))
    }

    /// A service that waits for those before it, or runs and is not ready, may be so because of
    /// them; one that ended has a reason of its own.
    private static func node(_ service: StatusReport.Service) -> HealthNode {
        let mayFollow = ["waiting", "starting", "running"].contains(service.state)
        return HealthNode(
            name: serviceNode(service.name), status: service.problem == nil ? .healthy : .unhealthy,
            dependsOn: mayFollow ? service.after.map(serviceNode) : [])
    }

    private static func node(
        _ check: StatusReport.Check, among names: Set<String>
    ) -> HealthNode {
        let named = check.depends_on.map { names.contains($0) ? $0 : serviceNode($0) }
        let service = check.service.map { [serviceNode($0)] } ?? []
        return HealthNode(
            name: check.name, status: isFinding(check) ? status(check) : .healthy,
            dependsOn: named + service)
    }

    private static func status(_ check: StatusReport.Check) -> HealthStatus {
        HealthStatus(rawValue: check.status) ?? .unknown
    }

    /// What has not been asked often enough yet to be judged is neither well nor a finding.
    private static func isFinding(_ check: StatusReport.Check) -> Bool {
        status(check) != .unknown || check.last_outcome == "unknown"
    }

    private func explained(by cause: String) -> [String] {
        verdict.consequences.filter { $0.value.contains(cause) }.keys.map(Self.shortName).sorted()
    }

    // MARK: Findings

    private var serviceFindings: [StatusReport.Finding] {
        report.services.compactMap { service in
            let node = Self.serviceNode(service.name)
            guard let problem = service.problem, verdict.causes.contains(node),
                !isSilentCore(service)
            else { return nil }
            return StatusReport.Finding(
                what: "\(service.name) \(problem)", since: service.since,
                command: command(service), explains: explained(by: node))
        }
    }

    private func command(_ service: StatusReport.Service) -> String {
        switch service.state {
        case "failed", "stopped": "opsd service restart \(service.name)"
        // The log says nothing more: who fills the disk is to be found.
        case "running"
        where service.name == report.core_service && report.core?.journal_full == true:
            "df -h, then make room; opsd account halt works all the same"
        default: "opsd service logs \(service.name)"
        }
    }

    private var checkFindings: [StatusReport.Finding] {
        report.health.filter { verdict.causes.contains($0.name) && !Self.isBuiltIn($0) }
            .map { check in
                let isDoubt = Self.status(check) == .unknown
                return StatusReport.Finding(
                    what: "check \(check.name) "
                        + (isDoubt ? "could not be carried out" : "is \(check.status)")
                        + ": \(check.message)",
                    since: check.since, command: check.look, is_doubt: isDoubt,
                    explains: explained(by: check.name))
            }
    }

    /// It runs and says nothing: what it knows, nobody can tell.
    private func isSilentCore(_ service: StatusReport.Service) -> Bool {
        service.name == report.core_service && service.state == "running" && report.core == nil
    }

    private var jobFindings: [StatusReport.Finding] {
        (report.jobs ?? []).compactMap { job in
            // While it runs, how it went before is history.
            let last = job.running_since == nil ? job.last_outcome : nil
            let outcome = last.flatMap(JobOutcome.init)
            let command = "opsd job history \(job.name)"
            if let outcome, outcome != .succeeded {
                let isDoubt = [.unknown, .interrupted].contains(outcome)
                return StatusReport.Finding(
                    what: "job \(job.name): \(job.last_detail ?? outcome.rawValue)",
                    since: job.last_ended, command: command, is_doubt: isDoubt)
            }
            guard job.is_overdue else { return nil }
            return StatusReport.Finding(
                what: "job \(job.name) is overdue: two of its times have passed since it last did "
                    + "its work", since: job.last_success, command: command)
        }
    }

    private var controlFindings: [StatusReport.Finding] {
        report.control_problem.map { problem in
            [
                StatusReport.Finding(
                    what: "what happens to services is not written down: \(problem)",
                    command: "df -h, then ls -l of the data directory")
            ]
        } ?? []
    }

    private var coreFindings: [StatusReport.Finding] {
        guard let core = report.core else {
            return report.services.filter(isSilentCore).map { service in
                StatusReport.Finding(
                    what: "\(service.name) runs and gives no report"
                        + (service.not_ready.map { " (\($0))" } ?? "")
                        + ": orders, accounts and journal are not known",
                    since: nil, command: "opsd service logs \(service.name)", is_doubt: true,
                    explains: explained(by: Self.serviceNode(service.name)))
            }
        }
        return findings(of: core)
    }

    private func findings(of core: StatusReport.Core) -> [StatusReport.Finding] {
        var findings: [StatusReport.Finding] = []
        func add(_ what: String, _ command: String) {
            findings.append(StatusReport.Finding(what: what, command: command))
        }
        if core.orders_unknown > 0 {
            let one = core.orders_unknown == 1
            add(
                "\(core.orders_unknown) order\(one ? " is" : "s are") unknown at the broker",
                "opsd journal tail, then opsd order show ID")
        }
        if let failure = core.checkpoint_failure {
            add("the checkpoint cannot be written: \(failure)", "df -h")
        }
        findings += (core.stores ?? []).flatMap(Self.findings)
        if !core.accounts_halted.isEmpty {
            let one = core.accounts_halted.count == 1
            add(
                Self.list(core.accounts_halted, one: "is halted", many: "are halted"),
                "opsd account resume \(one ? core.accounts_halted[0] : "ID")")
        }
        // While the core itself is not ready, that says it already.
        let isCoreReady = report.services.first { $0.name == report.core_service }?.problem == nil
        if isCoreReady, !core.accounts_not_open.isEmpty {
            add(
                Self.list(
                    core.accounts_not_open, one: "is not synchronised with the broker",
                    many: "are not synchronised with the broker"),
                "opsd service logs \(report.core_service ?? "core")")
        }
        return findings
    }

    /// A store that is being filled is degraded where it should be read, and otherwise on its way.
    private static func findings(of store: StatusReport.Store) -> [StatusReport.Finding] {
        var findings: [StatusReport.Finding] = []
        switch store.state {
        case "ahead", "foreign":
            findings.append(
                StatusReport.Finding(
                    what: "store \(store.name) \(store.says)",
                    command: resolution(of: store.name)))
        case "failing":
            findings.append(
                StatusReport.Finding(
                    what: "store \(store.name) \(store.says)",
                    since: store.failing_since ?? store.behind_since,
                    command: "opsd check, then look at the store's server or disk"))
        default: break
        }
        for found in store.unmigrated ?? [] {
            findings.append(
                StatusReport.Finding(
                    what: "\(found.dataset) is not written to \(store.name), which has rows of "
                        + "another program: \(found.says)",
                    command: found.command))
        }
        let degraded = store.degraded.filter { name in
            !(store.unmigrated ?? []).contains { $0.dataset == name }
        }
        if !degraded.isEmpty {
            findings.append(
                StatusReport.Finding(
                    what: "\(degraded.joined(separator: ", ")) should be read from "
                        + "\(store.name) and \(degraded.count == 1 ? "is" : "are") not",
                    since: store.degraded_since, command: "opsd status --watch",
                    explains: []))
        }
        return findings
    }

    /// A stream of events, which is called STORE/STREAM, holds nothing that another copy lacks.
    private static func resolution(of store: String) -> String {
        guard let slash = store.firstIndex(of: "/") else { return "opsd rebuild \(store)" }
        return "redis-cli DEL opsd:events \(store[store.index(after: slash)...])"
    }

    /// The first few by name, and how many there are.
    private static func list(_ names: [String], one: String, many: String) -> String {
        if names.count == 1 { return "account \(names[0]) \(one)" }
        let shown = names.prefix(3).joined(separator: ", ")
        let rest = names.count > 3 ? " and \(names.count - 3) more" : ""
        return "\(names.count) accounts \(many): \(shown)\(rest)"
    }
}
