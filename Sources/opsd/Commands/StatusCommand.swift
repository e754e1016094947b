import ArgumentParser
import CurlClient
import Foundation
import Ledger
import StrictYAML

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Services, journal, orders and accounts on one screen.",
        discussion: """
            Exit code 0 when all is well, 1 when something is wrong, 3 when nobody answered.
            Example: opsd status --watch
            """)

    @OptionGroup var options: CommonOptions
    @Flag(help: "Again every two seconds, until interrupted.") var watch = false

    func run() async throws {
        let configuration = try options.loadConfiguration()
        let address = configuration.listen.ops
        let curl = CurlClient()
        while true {
            let report: StatusReport
            do {
                let answer = try await curl.send(
                    CurlRequest(
                        .get, "http://\(address.host):\(address.port)/api/ops/status",
                        timeout: .seconds(10)))
                let data = try JSONDecoder().decode(
                    StatusReport.Envelope.self, from: Data(answer.body))
                report = data.data
            } catch {
                throw CommandFailure(
                    .unknown,
                    "the daemon does not answer at \(address.host):\(address.port) (\(error)); "
                        + "start it with 'opsd run'")
            }
            if watch, !options.json { print("\u{1B}[2J\u{1B}[H", terminator: "") }
            report.show(options)
            guard watch else {
                if !report.isWell { throw CommandFailure(.found, "") }
                return
            }
            try await Task.sleep(for: .seconds(2))
        }
    }
}

/// What `GET /api/ops/status` says.
struct StatusReport: Codable {
    struct Envelope: Codable { let data: StatusReport }

    struct Service: Codable {
        let name: String
        let state: String
        let pid: Int?
        let restarts: Int
        let since: String
        let last_exit: String?
        /// Why it should get no traffic.
        let not_ready: String?
    }

    struct Core: Codable {
        let journal_sequence: String
        let checkpoint_sequence: String
        let checkpoint_failure: String?
        let queue_depth: Int
        let queue_capacity: Int
        let live_orders: Int
        let orders_unknown: Int
        let accounts_halted: [String]
        let accounts_not_open: [String]
    }

    let node: String
    let version: String
    let time: String
    let services: [Service]
    /// Nil when the core did not answer.
    let core: Core?

    var isWell: Bool { findings.isEmpty }

    /// Each thing that is wrong, with what to type about it.
    var findings: [String] {
        var findings = services.filter { $0.state != "running" || $0.not_ready != nil }.map {
            "\($0.name) is \($0.state)\($0.not_ready.map { ": \($0)" } ?? "")"
                + "\($0.last_exit.map { "; it last ended: \($0)" } ?? "")"
        }
        guard let core else { return findings }
        if core.orders_unknown > 0 {
            findings.append(
                "\(core.orders_unknown) orders are unknown at the broker: opsd order show ID")
        }
        if let failure = core.checkpoint_failure { findings.append("checkpoint: \(failure)") }
        findings += core.accounts_halted.map { "\($0) is halted: opsd account resume \($0)" }
        findings += core.accounts_not_open.map { "\($0) is not synchronised with the broker" }
        return findings
    }

    func show(_ options: CommonOptions) {
        if options.json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            if let bytes = try? encoder.encode(self) {
                print(String(decoding: bytes, as: UTF8.self))
            }
            return
        }
        print("\(node)  opsd \(version)  \(time)\n")
        print(Table.line(["SERVICE", "STATE", "PID", "RESTARTS", "SINCE"]))
        for service in services {
            print(
                Table.line([
                    service.name, service.state, service.pid.map(String.init) ?? "-",
                    String(service.restarts), service.since,
                ]))
        }
        if let core {
            print(
                """

                journal     entry \(core.journal_sequence)
                checkpoint  entry \(core.checkpoint_sequence)
                orders      \(core.live_orders) live, \(core.orders_unknown) unknown, \
                \(core.queue_depth) of \(core.queue_capacity) waiting
                """)
        }
        print(isWell ? "\nall is well" : "\nfindings:")
        for finding in findings { print("  \(finding)") }
    }
}
