import Control
import Foundation
import Hummingbird
import Ledger
import Logging
import TradingHTTP

/// What `opsd job` asks of the running daemon, at the supervisor's socket.
struct JobControl: Sendable {
    let scheduler: JobScheduler
    let logger: Logger

    func addRoutes(to control: RouterGroup<BasicRequestContext>) {
        control.get("jobs") { _, _ in
            try Self.success(await scheduler.status().map { StatusReport.Job($0) })
        }
        control.get("jobs/{name}/runs") { _, context in
            let name = try context.parameters.require("name")
            do throws(JobError) {
                let runs = try await scheduler.history(of: name, newest: 100)
                return try? Self.success(runs.map { JobLine($0) })
            } catch {
                return Self.failure(error)
            }
        }
        control.post("jobs/{name}/run") { request, context in
            let name = try context.parameters.require("name")
            let act = try await request.decode(as: CoreControl.Act.self, context: context)
            logger.notice(
                "job \(name): an operator starts it",
                metadata: ["operator": "\(act.operatorName)", "reason": "\(act.reason)"])
            do throws(JobError) {
                let run = try await scheduler.start(name)
                return try? Self.success(JobLine(run))
            } catch {
                return Self.failure(error)
            }
        }
    }

    private static func success(_ content: some Encodable) throws -> Response {
        let body = String(decoding: try JSONEncoder().encode(content), as: UTF8.self)
        return Envelope.success { $0.raw(body) }
    }

    private static func failure(_ error: JobError) -> Response {
        switch error {
        case .unknownJob: Envelope.failure(.notFound, error.description)
        case .running, .stopping: Envelope.failure(.conflict, error.description)
        }
    }
}

/// One run as `opsd job history` shows it; also how the daemon's answer is read.
struct JobLine: Codable {
    var run: String
    var job: String
    var trigger: String
    /// The time that it was for.
    var scheduled: String?
    var started: String
    var ended: String?
    var seconds: Double?
    /// `running` until it has ended.
    var outcome: String
    var exit_code: Int?
    var signal: Int?
    var detail: String
    var output: String
    var skipped: Int
    var pid: Int?

    init(_ run: JobRun) {
        self.run = run.instance
        job = run.job
        trigger = run.trigger.rawValue
        scheduled = run.scheduled?.description
        started = run.started.description
        ended = run.ended?.description
        seconds = run.duration.map {
            Double($0.components.seconds) + Double($0.components.attoseconds) / 1e18
        }
        outcome = run.outcome?.rawValue ?? "running"
        exit_code = run.exitCode.map(Int.init)
        signal = run.signal.map(Int.init)
        detail = run.detail
        output = run.output
        skipped = run.skipped
        pid = run.pid.map(Int.init)
    }

    /// What was written down, while no daemon runs.
    init(recorded run: JobRun) {
        self.init(run)
        if run.ended == nil, !run.isAlive {
            outcome = "unknown"
            detail = "it ended while no daemon ran: how is not known"
        }
    }
}

extension StatusReport.Job {
    init(_ status: JobStatus) {
        self.init(
            name: status.name, times: status.times, next: status.next?.description,
            doubt: status.doubt, running_since: status.run?.started.description,
            last_outcome: status.last?.outcome?.rawValue, last_detail: status.last?.detail,
            last_started: status.last?.started.description,
            last_ended: status.last?.ended?.description,
            last_success: status.lastSuccess?.description, is_overdue: status.isOverdue)
    }
}
