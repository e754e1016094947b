import ExactJSON
import Foundation
import Ledger
import Synchronization
import TestSupport
import Testing

@testable import opsd

extension RealProcesses {
    /// A repair of thousands of rows and its undo, while programs write the same rows through the core and
    /// past it, and while the core is killed again and again.
    @Suite(
        .serialized, .enabled(if: StoreDesk.isWanted, "redis-server or PostgreSQL is not installed")
    )
    struct RepairCrashTests {
        private static let rows =
            ProcessInfo.processInfo.environment["OPSD_REPAIR_ROWS"].flatMap(Int.init) ?? 2_000
        private static let kills =
            ProcessInfo.processInfo.environment["OPSD_REPAIR_KILLS"].flatMap(Int.init) ?? 4

        @Test(.timeLimit(.minutes(30)))
        func noUpdateIsLostAndUndoGivesTheBytesBack() async throws {
            let redis = try await RedisServer()
            try await RepairScene.run(check: "repair: plan", redis: redis) { scene in
                let rows = Self.rows
                try await scene.put(0..<rows, days: 1)
                try await scene.settle()
                try await scene.spoilRedis(0..<rows * 9 / 10)
                try await scene.redis(
                    (rows * 9 / 10)..<rows, "redis.call('HDEL', key, field)")
                let wrong = try await Self.held(scene)
                let found = try await scene.verify("--store", "hot", "--repair", "plan")
                let plan = try #require(RepairScene.repairs(found)["hot"], "\(found)")
                #expect(plan["rows"]?.integer == rows, "\(found)")
                let id = try #require(plan["repair"]?.text)

                let writers = RacingWriters(scene, rows: rows)
                var stops: Set<Stop> = []
                try await writers.run {
                    stops = try await carry("apply", id, to: "applied", scene)
                }
                try await scene.settle()
                let repaired = try await Self.held(scene)
                for number in 0..<rows {
                    let days = Self.days(repaired[RepairScene.symbol(number)])
                    #expect(writers.mayBe(days, number, otherwise: 1), "\(number): \(days ?? 0)")
                }
                let record = try await scene.verify("--store", "record")
                #expect(record.code == 0, "\(record)")

                try await writers.run {
                    stops.formUnion(try await carry("undo", id, to: "undone", scene))
                }
                try await scene.settle()
                let undone = try await Self.held(scene)
                var given = 0
                for number in 0..<rows {
                    let symbol = RepairScene.symbol(number)
                    if writers.hasWritten(number) {
                        let days = Self.days(undone[symbol])
                        #expect(
                            writers.mayBe(
                                days, number, otherwise: Self.days(wrong[symbol])),
                            "\(number): \(days ?? 0)")
                    } else {
                        #expect(undone[symbol] == wrong[symbol], "\(symbol)")
                        given += 1
                    }
                }
                #expect(given > rows / 2)
                #expect(writers.count > 100, "they raced")
                #expect(
                    !stops.isDisjoint(with: [.noted, .written]),
                    "killed between image and outcome: \(stops)")
                #expect(try await scene.desk.command("journal", "check").code == 0)
            }
        }

        // MARK: Killing

        /// Where a kill has stopped the core.
        private enum Stop: Hashable {
            /// Every row with an image has its outcome, or none has an image yet.
            case between
            /// Rows have images, and no outcome.
            case noted
            /// And some of these are written.
            case written
        }

        /// Has a repair done, and kills the core on the way; it carries on by itself.
        private func carry(
            _ verb: String, _ id: String, to state: String, _ scene: RepairScene
        ) async throws -> Set<Stop> {
            let desk = scene.desk
            let receipt = desk.data + "/repairs/\(id)/receipt.jsonl"
            var stops: Set<Stop> = []
            for round in 0..<Self.kills {
                // Killed before it was journaled, nothing has begun: the same command again.
                let command = try ChildProcess.start(
                    Desk.program,
                    ["repair", verb, id, "--operator", "lin", "-c", desk.configurationFile],
                    in: desk.directory.path, output: desk.directory.path("\(verb).out"),
                    errors: desk.directory.path("\(verb).err"))
                defer { command.endGroup() }
                guard let pid = try await desk.pid(of: "core") else { continue }
                let size = Self.size(receipt)
                let deadline = ContinuousClock.now + .seconds(5)
                // In every other round as soon as images are on disk, otherwise at any time.
                let delay = Duration.milliseconds(Int.random(in: 0...400))
                if verb == "undo" || round % 2 == 1 {
                    try await Task.sleep(for: delay)
                } else {
                    while ContinuousClock.now < deadline,
                        Self.size(receipt) == size || !Self.endsWithImage(receipt)
                    { try await Task.sleep(for: .microseconds(200)) }
                }
                kill(pid, SIGKILL)
                try await eventually("the core is gone", within: .seconds(10)) {
                    kill(pid, 0) != 0
                }
                stops.insert(try await stop(at: receipt, scene))
                try await desk.waitUntilReady()
                if try await Self.state(of: id, scene) == state { break }
            }
            try await eventually("\(id) is \(state)", within: .seconds(120)) {
                if try await Self.state(of: id, scene) == state { return true }
                _ = try await scene.opsd("repair", verb, id)
                return false
            }
            return stops
        }

        private func stop(at receipt: String, _ scene: RepairScene) async throws -> Stop {
            var open: Set<String> = []
            let text = (try? String(contentsOfFile: receipt, encoding: .utf8)) ?? ""
            for line in text.split(separator: "\n") {
                guard let json = try? JSONValue(parsing: Array(line.utf8)),
                    let key = json["key"]?.text
                else { continue }
                if json["image"] != nil { open.insert(key) } else { open.remove(key) }
            }
            if open.isEmpty { return .between }
            let held = try await Self.held(scene)
            let isWritten = open.contains { key in
                Self.days(held[key.split(separator: "/").last.map(String.init) ?? ""]) == 1
            }
            return isWritten ? .written : .noted
        }

        private static func size(_ path: String) -> Int {
            ((try? FileManager.default.attributesOfItem(atPath: path)[.size]) as? Int) ?? 0
        }

        /// Of the last line.
        private static func endsWithImage(_ path: String) -> Bool {
            guard let file = FileHandle(forReadingAtPath: path) else { return false }
            defer { try? file.close() }
            let end = (try? file.seekToEnd()) ?? 0
            try? file.seek(toOffset: end > 300 ? end - 300 : 0)
            let text = String(decoding: (try? file.readToEnd()) ?? Data(), as: UTF8.self)
            return text.split(separator: "\n").last?.contains("\"image\"") == true
        }

        private static func state(of id: String, _ scene: RepairScene) async throws -> String? {
            let listed = try await scene.opsd("review", "list", "--all", reason: false)
            return listed.documents.compactMap { $0 }.first { $0["repair"]?.text == id }?["state"]?
                .text
        }

        // MARK: Rows in Redis

        private static func held(_ scene: RepairScene) async throws -> [String: String] {
            let lines = try await scene.stores.redis(
                "HGETALL", "opsd:held:\(RepairScene.account)"
            ).split(separator: "\n").map(String.init)
            var rows: [String: String] = [:]
            for index in stride(from: 0, to: lines.count - 1, by: 2) {
                rows[lines[index]] = lines[index + 1]
            }
            return rows
        }

        private static func days(_ text: String?) -> Int? {
            text.flatMap { try? JSONValue(parsing: Array($0.utf8)) }?["days"]?.integer
        }
    }
}

/// Programs that write rows while they are repaired: some through the core, some past it.
///
/// The lock guards what they have written; it is held to note it.
private final class RacingWriters: Sendable {
    private struct Written {
        /// By row: what was acknowledged last, and what was sent since.
        var acknowledged: [Int: Int] = [:]
        var sent: [Int: Set<Int>] = [:]
        /// Past the core.
        var foreign: [Int: Int] = [:]
        var next = 1_000
    }

    private let scene: RepairScene
    private let rows: Int
    private let written = Mutex(Written())
    private let isStopped = Mutex(false)

    init(_ scene: RepairScene, rows: Int) {
        self.scene = scene
        self.rows = rows
    }

    var count: Int { written.withLock { $0.next - 1_000 } }

    func hasWritten(_ number: Int) -> Bool {
        written.withLock { $0.foreign[number] != nil || $0.sent[number] != nil }
    }

    /// Whether a row may have this value now.
    /// - Parameter otherwise: what it has when nobody has written it.
    func mayBe(_ days: Int?, _ number: Int, otherwise: Int?) -> Bool {
        written.withLock { written in
            if let foreign = written.foreign[number] { return days == foreign }
            if days == written.acknowledged[number] ?? otherwise { return true }
            // Of one whose answer never came it is not known.
            return days.map { written.sent[number]?.contains($0) == true } ?? false
        }
    }

    func run(while body: () async throws -> Void) async throws {
        isStopped.withLock { $0 = false }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<2 {
                group.addTask { try await self.writeThroughTheCore(writer) }
            }
            group.addTask { try await self.writePastIt() }
            let outcome: Result<Void, any Error>
            do {
                outcome = .success(try await body())
            } catch {
                outcome = .failure(error)
            }
            isStopped.withLock { $0 = true }
            try await group.waitForAll()
            try outcome.get()
        }
    }

    private var goesOn: Bool { !isStopped.withLock { $0 } }

    private func nextValue() -> Int {
        written.withLock { written in
            written.next += 1
            return written.next
        }
    }

    /// Each has rows of its own, so that its last word is the last.
    private func writeThroughTheCore(_ writer: Int) async throws {
        while goesOn {
            let number = Int.random(in: 0..<rows / 14) * 14 + writer * 7
            guard number < rows else { continue }
            let days = nextValue()
            _ = written.withLock { $0.sent[number, default: []].insert(days) }
            let status = try? await scene.put(number, days: days)
            if let status, (200..<300).contains(status) {
                written.withLock { written in
                    written.acknowledged[number] = days
                    written.sent[number] = []
                }
            } else {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    private func writePastIt() async throws {
        while goesOn {
            let number = Int.random(in: 0..<rows / 14) * 14 + 3
            guard number < rows else { continue }
            let days = nextValue()
            try await scene.spoilRedis(number..<number + 1, days: days)
            written.withLock { $0.foreign[number] = days }
        }
    }
}
