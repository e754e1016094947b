import Control
import Foundation
import Hummingbird
import Ledger
import Logging
import TradingHTTP

/// What `opsd service` and `opsd job` ask of the running daemon, at the supervisor's socket.
struct SupervisorControl: Sendable {
    let supervisor: Supervisor
    let scheduler: JobScheduler
    let accepted: AcceptedConfiguration
    let logger: Logger

    func addRoutes(to router: Router<BasicRequestContext>) {
        let control = router.group("control")
        JobControl(scheduler: scheduler, logger: logger).addRoutes(to: control)
        control.get("services") { _, _ in
            let lines = await supervisor.status().map(ServiceLine.init)
            let body = String(decoding: try JSONEncoder().encode(lines), as: UTF8.self)
            return Envelope.success { $0.raw(body) }
        }
        control.get("configuration") { _, _ in
            let body = String(decoding: try JSONEncoder().encode(accepted.texts), as: UTF8.self)
            return Envelope.success { $0.raw(body) }
        }
        control.post("services/{name}/restart") { request, context in
            let name = try context.parameters.require("name")
            let act = try await request.decode(as: CoreControl.Act.self, context: context)
            return await restart(name, act)
        }
    }

    private func restart(_ name: String, _ act: CoreControl.Act) async -> Response {
        do throws(SupervisorError) {
            logger.notice(
                "\(name): an operator restarts it",
                metadata: ["operator": "\(act.operatorName)", "reason": "\(act.reason)"])
            try await supervisor.restart(name)
            return Envelope.success { $0.value("restarted") }
        } catch {
            switch error {
            case .unknownService: return Envelope.failure(.notFound, error.description)
            case .stopping: return Envelope.failure(.conflict, error.description)
            }
        }
    }
}

/// One service as `opsd service list` shows it; also how the daemon's answer is read.
struct ServiceLine: Codable {
    var service: String
    var state: String
    var pid: Int?
    var restarts: Int
    var since: String
    /// While it backs off: when it starts again.
    var until: String?
    var last_exit: String?
    /// Ends in a row without a stable run between them.
    var quick_exits: Int?
    var answering: Bool?
    var adopted: Bool?
    /// Whether a daemon looks after it.
    var supervised = true

    init(_ status: ServiceStatus) {
        service = status.name
        state = status.state.word
        pid = status.pid.map(Int.init)
        restarts = status.restarts
        since = status.since.description
        if case .backingOff(let time) = status.state { until = time.description }
        last_exit = status.lastExit
        quick_exits = status.quickExits
        answering = status.isAnswering
        adopted = status.isAdopted
    }

    /// What was written down, while no daemon runs.
    init(_ record: ServiceRecord) {
        let isAlive = record.isAlive
        service = record.name
        state = isAlive ? "running" : record.pid == nil ? record.state : "gone"
        pid = isAlive ? record.pid.map(Int.init) : nil
        restarts = record.restarts
        since = record.since.description
        last_exit = record.lastExit
        supervised = false
    }
}
