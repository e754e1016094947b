import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

@testable import opsd

extension RealProcesses {
    /// A program in Python reads the journal's events with a group, while orders flow and Redis is
    /// killed.
    @Suite(.serialized) struct EventTests {
        static let isCI = ProcessInfo.processInfo.environment["CI"] != nil
        static let hasRedisModule: Bool = {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["python3", "-c", "import redis"]
            process.standardError = FileHandle.nullDevice
            guard (try? process.run()) != nil else { return false }
            process.waitUntilExit()
            return process.terminationStatus == 0
        }()

        /// Writes each event that it has handled as a line of JSON, then acknowledges it.
        private static let reader = """
            import json, os, sys, time, redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry

            socket, path, stop = sys.argv[1:]
            # Without retries of redis-py's own: a read that it repeats after a break returns only
            # what is new, and what the read before had taken is passed over.
            client = redis.Redis(
                unix_socket_path=socket, decode_responses=True, socket_timeout=5,
                retry=Retry(NoBackoff(), 0))
            stream, group, start = "trading_events", "desk", "0"

            def handle(entries):
                for entry_id, fields in entries:
                    event = {
                        "event_type": fields["event_type"],
                        "account_id": fields["account_id"],
                        "data": json.loads(fields["data"]),
                        "timestamp": fields["timestamp"],
                        "event_id": fields["event_id"],
                        "fields": len(fields),
                    }
                    out.write(json.dumps(event) + "\\n")
                    out.flush()
                    client.xack(stream, group, entry_id)

            with open(path, "a") as out:
                while not os.path.exists(stop):
                    try:
                        if start == "0":
                            try:
                                client.xgroup_create(stream, group, id="0", mkstream=True)
                            except redis.ResponseError as error:
                                if "BUSYGROUP" not in str(error):
                                    raise
                        got = client.xreadgroup(group, "one", {stream: start}, count=20, block=100)
                        entries = got[0][1] if got else []
                        handle(entries)
                        # What it had taken before a break comes first, then what is new.
                        if start == "0" and not entries:
                            start = ">"
                    except redis.RedisError:
                        start = "0"
                        time.sleep(0.05)
            """

        private struct Event: Decodable {
            let event_type: String
            let account_id: String
            let timestamp: String
            let event_id: String
            let fields: Int
        }

        @Test(
            .enabled(if: RedisServer.isWanted, "redis-server is not installed"),
            .enabled(if: hasRedisModule || isCI, "python3 has no module redis"),
            .timeLimit(.minutes(5)), arguments: ["everysec", "always"])
        func everyEntryIsSeenInOrderOverKillsOfRedis(_ fsync: String) async throws {
            let server = try await RedisServer(["appendonly yes", "appendfsync \(fsync)"])
            var settings = DeskSettings(cash: 50_000_000)
            settings.sections = """
                stores: {hot: {kind: redis, url: "unix://\(server.socketPath)", timeout: 2s, connections: {min: 1, max: 5}}}
                datasets: {positions: {old: hot}}
                events: {store: hot}
                health: [{name: events, store: hot, stream: trading_events, backlog_from: 100000, period: 500ms}]
                """
            try await Desk.run(settings) { desk in
                let (out, stop) = (desk.directory.path("events"), desk.directory.path("stop"))
                let python = try ChildProcess.start(
                    "python3", ["-c", Self.reader, server.socketPath, out, stop],
                    in: desk.directory.path, output: desk.directory.path("python.out"),
                    errors: desk.directory.path("python.err"))
                defer { python.endGroup() }
                let load = try await OrderLoad(desk)
                try await load.run(clientsPerAccount: 1, pause: .milliseconds(20)) {
                    for _ in 0..<3 {
                        try await Task.sleep(for: .milliseconds(700))
                        server.kill()
                        let before = load.acceptedCount
                        try await eventually("orders go on without Redis") {
                            load.acceptedCount > before + 5
                        }
                        try await server.start()
                    }
                }
                #expect(load.record.oddities.isEmpty)
                var head: SequenceNumber?
                try await eventually("every event is read", within: .seconds(60)) {
                    head = try await Self.head(of: desk)
                    return try Self.events(out).last?.event_id == head?.description
                }
                // A moment later nothing more has come: the desk is at rest.
                let whole = try #require(head)
                _ = FileManager.default.createFile(atPath: stop, contents: nil)
                #expect(
                    try await python.exit(within: .seconds(20)) == 0, "\(desk.text("python.err"))")
                try Self.expectEveryEntry(through: whole, in: try Self.events(out))
                let metrics = try await desk.get("\(desk.opsURL)/metrics").text
                #expect(metrics.contains("events_processed_total{event_type=\"order.accepted\""))
                #expect(metrics.contains("opsd_store_lag_entries{store=\"hot/trading_events\""))
                let status = try await desk.command("status", "--json")
                #expect(status.output.contains("hot/trading_events"))
                try await eventually("the check of the stream has answered") {
                    try await desk.get("\(desk.opsURL)/metrics").text.contains(
                        "opsd_health_status{check=\"events\",status=\"healthy\"} 1")
                }
            }
        }

        private static func head(of desk: Desk) async throws -> SequenceNumber? {
            let answer = try await desk.get("\(desk.opsURL)/api/ops/status")
            return answer.data?["core"]?["journal_sequence"]?.text.flatMap { SequenceNumber($0) }
        }

        private static func events(_ path: String) throws -> [Event] {
            let data = FileManager.default.contents(atPath: path) ?? Data()
            // The last line may be on its way.
            let whole = data[..<(data.lastIndex(of: UInt8(ascii: "\n")) ?? data.startIndex)]
            return try whole.split(separator: UInt8(ascii: "\n")).map {
                try JSONDecoder().decode(Event.self, from: $0)
            }
        }

        /// Each entry once or more; the first time of each in order.
        private static func expectEveryEntry(
            through head: SequenceNumber, in events: [Event]
        ) throws {
            var seen: Set<String> = []
            let first = events.filter { seen.insert($0.event_id).inserted }
            let wanted = (1...head.number).map {
                SequenceNumber(epoch: head.epoch, number: $0).description
            }
            let read = Array(first.map(\.event_id).prefix(wanted.count))
            let firstDifference = zip(read, wanted).first { $0 != $1 }
            #expect(
                read.count == wanted.count && firstDifference == nil,
                "\(read.count) of \(wanted.count), \(String(describing: firstDifference))")
            #expect(events.count < wanted.count * 2, "\(events.count) of \(wanted.count)")
            #expect(events.allSatisfy { $0.fields == 5 && Timestamp($0.timestamp) != nil })
            let orders = events.filter { $0.event_type.hasPrefix("order.") }
            #expect(!orders.isEmpty && orders.allSatisfy { $0.account_id.hasPrefix("TRADE_") })
        }
    }
}
