import CurlClient
import Foundation

/// `control.rest`: what the supervisor costs while nothing happens, with 20 services and 50 checks
/// that are all well.
enum RestBench {
    private static let ops = 19_465
    private static let serviceCount = 20
    private static let secondsMeasured = 60

    /// 20 services that sleep. Their 50 checks: 20 ports, 20 URLs (all of them the daemon's own) and
    /// 10 programs, each in its default period.
    private static func write(_ directory: String) throws {
        let services = (0..<serviceCount).map { index in
            var checks = [
                "{tcp: \"127.0.0.1:\(ops)\"}", "{http: \"http://127.0.0.1:\(ops)/healthz\"}",
            ]
            if index % 2 == 0 { checks.append("{command: [\"true\"]}") }
            return "  sleeper-\(index): {command: [sleep, \"100000\"], "
                + "checks: [\(checks.joined(separator: ", "))]}"
        }
        try "accounts: []\n".write(
            toFile: directory + "/accounts_config.yaml", atomically: true, encoding: .utf8)
        try """
        data_dir: ./data
        listen: {ops: "127.0.0.1:\(ops)", trading: "127.0.0.1:19081"}
        secrets: {jwt: "a bench secret of more than thirty-two bytes"}
        accounts: [accounts_config.yaml]
        services:
        \(services.joined(separator: "\n"))
        """.write(toFile: directory + "/opsd.yaml", atomically: true, encoding: .utf8)
    }

    private static func withSupervisor(
        _ body: (Process) async throws -> Figure
    ) async throws -> Figure {
        try await withScratch("rest") { directory in
            try write(directory)
            let process = Process()
            process.executableURL = URL(filePath: "../.build/release/opsd")
            process.arguments = ["run", "-c", directory + "/opsd.yaml"]
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            let result: Result<Figure, any Error>
            do {
                try await untilAllIsWell()
                result = .success(try await body(process))
            } catch {
                result = .failure(error)
            }
            process.terminate()
            while process.isRunning { try? await Task.sleep(for: .milliseconds(20)) }
            return try result.get()
        }
    }

    /// Each service runs, and each check has been asked and is healthy.
    private static func untilAllIsWell() async throws {
        struct Envelope: Decodable {
            struct Report: Decodable {
                struct Check: Decodable { let status: String }
                let verdict: String
                let health: [Check]
            }
            let data: Report
        }
        let curl = CurlClient()
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            let request = CurlRequest(.get, "http://127.0.0.1:\(ops)/api/ops/status")
            if let answer = try? await curl.send(request),
                let report = try? JSONDecoder().decode(Envelope.self, from: Data(answer.body)),
                report.data.verdict == "well",
                report.data.health.count >= serviceCount + 50,
                report.data.health.allSatisfy({ $0.status == "healthy" })
            {
                return
            }
            try await Task.sleep(for: .milliseconds(200))
        }
        throw BenchError(description: "the desk was not well within a minute")
    }

    /// Share of one core, in percent, of the supervisor alone.
    static func processor() async throws -> Figure {
        try await withSupervisor { process in
            let before = try processorSeconds(process)
            try await Task.sleep(for: .seconds(secondsMeasured))
            let spent = try processorSeconds(process) - before
            return Figure(
                id: "control.rest", what: "supervisor at rest, 20 services, 50 checks: one core",
                ours: spent / Double(secondsMeasured) * 100, peer: 1, unit: "%", goal: .atMost(1))
        }
    }

    static func memory() async throws -> Figure {
        try await withSupervisor { process in
            try await Task.sleep(for: .seconds(secondsMeasured))
            return Figure(
                id: "control.rest-memory",
                what: "supervisor at rest, 20 services, 50 checks: memory",
                ours: try residentMegabytes(process), peer: 64, unit: "MB", goal: .atMost(64))
        }
    }

    private static func processorSeconds(_ process: Process) throws -> Double {
        let path = "/proc/\(process.processIdentifier)/stat"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        // The command's name may hold blanks: the fields are counted from behind it.
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12])
        else { throw BenchError(description: "\(path) cannot be read") }
        return (user + system) / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
    }

    private static func residentMegabytes(_ process: Process) throws -> Double {
        let path = "/proc/\(process.processIdentifier)/status"
        let line = try String(contentsOfFile: path, encoding: .utf8)
            .split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        let words = line?.split(whereSeparator: { " \t".contains($0) }) ?? []
        guard words.count > 1, let kibibytes = Double(words[1]) else {
            throw BenchError(description: "\(path) cannot be read")
        }
        return kibibytes * 1_024 / 1_000_000
    }
}
