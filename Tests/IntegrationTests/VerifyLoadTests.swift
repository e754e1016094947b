import CurlClient
import ExactJSON
import Foundation
import Ledger
import Synchronization
import TestSupport
import Testing
import Verify

@testable import opsd

extension RealProcesses {
    /// Faults among rows that change all the time, and in rows that rest.
    @Suite(
        .serialized, .enabled(if: StoreDesk.isWanted, "redis-server or PostgreSQL is not installed")
    )
    struct VerifyLoadTests {
        private static func number(_ name: String, _ usual: Int) -> Int {
            ProcessInfo.processInfo.environment[name].flatMap(Int.init) ?? usual
        }

        /// All that is planted is found, in time, and nothing else.
        @Test(.timeLimit(.minutes(30)))
        func plantedFaultsAreFoundUnderLoadAndNothingElse() async throws {
            let load = VerifyLoad(
                changesPerSecond: Self.number("OPSD_VERIFY_CHANGES_PER_SECOND", 2_000),
                seconds: Self.number("OPSD_VERIFY_SECONDS", 60), cycleSeconds: 20)
            try await VerifyDesk.run(load) { desk in
                try await desk.fill()
                let outcome = try await desk.run(kills: false)
                Self.expectAll(of: outcome)
                #expect(
                    outcome.changes >= load.changesPerSecond * load.seconds * 95 / 100,
                    "only \(outcome.changes) changes")
                #expect(outcome.justChanged.last ?? .seconds(99) <= .seconds(2))
                #expect(outcome.atRest.last ?? .seconds(99) <= .seconds(load.cycleSeconds))
            }
        }

        /// Whatever is killed meanwhile: the verifier, the core, Redis.
        @Test(
            .timeLimit(.minutes(30)),
            .enabled(if: number("OPSD_VERIFY_KILL_SECONDS", 0) > 0, "part of make soak"))
        func plantedFaultsAreFoundWhateverIsKilled() async throws {
            let load = VerifyLoad(
                changesPerSecond: 500, seconds: Self.number("OPSD_VERIFY_KILL_SECONDS", 0),
                cycleSeconds: 20)
            try await VerifyDesk.run(load) { desk in
                try await desk.fill()
                Self.expectAll(of: try await desk.run(kills: true))
            }
        }

        private static func expectAll(of outcome: VerifyOutcome) {
            print(outcome)
            #expect(outcome.planted == 50)
            #expect(outcome.missed.isEmpty, "not found: \(outcome.missed)")
            #expect(outcome.false.isEmpty, "no faults, and found: \(outcome.false)")
        }
    }
}

struct VerifyLoad {
    let changesPerSecond: Int
    let seconds: Int
    let cycleSeconds: Int
}

/// What came of a load.
struct VerifyOutcome: CustomStringConvertible {
    var planted = 0
    var changes = 0
    var missed: [String] = []
    var `false`: [String] = []
    /// How long each took to be found, in order.
    var justChanged: [Duration] = []
    var atRest: [Duration] = []

    var description: String {
        func line(_ what: String, _ times: [Duration]) -> String {
            guard let last = times.last else { return "\(what): none" }
            return "\(what): \(times.count) found, median \(times[times.count / 2]), last \(last)"
        }
        return """
            \(planted) faults planted, \(missed.count) missed, \(self.false.count) false, \
            \(changes) row changes
            \(line("in rows just changed", justChanged))
            \(line("in rows at rest", atRest))
            """
    }
}

/// A desk whose held days lie in Redis (a hash an account), PostgreSQL and files, and a hand that damages
/// them.
struct VerifyDesk {
    let desk: Desk
    let redis: RedisServer
    let postgres: PostgresServer
    let database: String
    let load: VerifyLoad
    let tokens: [String: String]

    /// Accounts that are changed all the time, those that rest, and one for each fault that takes an account.
    static let busy = 4
    static let resting = 6
    private static let accountCount = 30
    private static let rowsEach = 400

    var accounts: [String] { desk.settings.accountIDs }
    private var stores: [String] { ["hot", "record", "files"] }

    static func run(
        _ load: VerifyLoad, _ body: (VerifyDesk) async throws -> Void
    ) async throws {
        let redis = try await RedisServer(["appendonly yes", "appendfsync always"])
        let postgres = try await PostgresServer()
        let database = try await postgres.makeDatabase()
        var settings = DeskSettings(accounts: accountCount)
        settings.sections = """
            stores:
              hot: {kind: redis, url: "redis://127.0.0.1:\(redis.port)/0"}
              record: {kind: postgres, url: "\(postgres.url(database))"}
              files: {kind: files, path: ./files}
            datasets:
              held_days:
                kind: declared
                key: [account_id, symbol]
                fields: {days: integer, max_price: decimal, tags: json}
                old: files
                new: hot
                also: [record]
                layout: {hot: {key: "acc:held:{account_id}", field: "{symbol}", value: json}}
            verify:
              - {name: held, dataset: held_days, every: \(load.cycleSeconds)s}

            """
        try await Desk.run(settings) { desk in
            try await desk.waitUntilReady()
            try await body(
                VerifyDesk(
                    desk: desk, redis: redis, postgres: postgres, database: database, load: load,
                    tokens: try await desk.tokens()))
        }
    }

    // MARK: - Rows

    static func row(_ account: String, _ symbol: String, _ days: Int) -> String {
        """
        {"account_id":"\(account)","symbol":"\(symbol)","days":\(days),\
        "max_price":"\(days % 500 + 1).25","tags":["a\(days)","b","c"]}
        """
    }

    func put(_ rows: [String], of account: String) async throws {
        let body = "{\"put\":[\(rows.joined(separator: ","))]}"
        let answer = try await desk.api(
            .post, "/data/held_days:batch", try #require(tokens[account]), body: body)
        guard answer.status == 200 || answer.status == 202 else {
            throw ChildProcess.Failure(description: "\(answer.status) \(answer.text.prefix(300))")
        }
    }

    func fill() async throws {
        for (index, account) in accounts.enumerated() {
            let count = index < Self.busy + Self.resting ? Self.rowsEach : 2
            for start in stride(from: 0, to: count, by: 200) {
                try await put(
                    (start..<min(count, start + 200)).map { Self.row(account, "S\($0)", $0 + 100) },
                    of: account)
            }
        }
        try await eventually("everything is proven", within: .seconds(90)) {
            try pages().allSatisfy { $0.outcome == "equal" && $0.provenAt != nil }
        }
    }

    private func pages() throws -> [VerificationBook.Page] {
        let configuration = try Configuration.load(desk.configurationFile)
        let pages = VerificationBook(DataLayout(configuration)).pages(
            of: stores.map { Verification.Place(dataset: "held_days", store: $0) })
        guard pages.count == stores.count else {
            throw ChildProcess.Failure(description: "there are \(pages.count) pages")
        }
        return pages
    }

    // MARK: - Load

    /// What was planted, when, and whether the row had just changed.
    private struct Fault {
        let what: String
        let keys: [String]
        /// Of those, the ones that have just changed; all of them where the rows rest.
        let timed: Int
        let isJustChanged: Bool
        let at: ContinuousClock.Instant
    }

    /// What the tasks write down; behind locks, since they run side by side.
    private final class Record: Sendable {
        let changes = Mutex(0)
        let faults = Mutex<[Fault]>([])
        let seen = Mutex<[String: ContinuousClock.Instant]>([:])
    }

    func run(kills: Bool) async throws -> VerifyOutcome {
        let record = Record()
        let end = ContinuousClock.now + .seconds(load.seconds)
        var outcome = VerifyOutcome()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<Self.busy {
                group.addTask { try await keepChanging(index, until: end, record) }
            }
            group.addTask { try await watch(record) }
            group.addTask {
                try await plant(until: end, record)
                // What was planted last has its whole cycle.
                try await Task.sleep(for: .seconds(load.cycleSeconds + 5))
                throw CancellationError()
            }
            if kills { group.addTask { try await keepKilling(until: end) } }
            do {
                try await group.waitForAll()
            } catch is CancellationError {
                group.cancelAll()
            }
        }
        outcome.changes = record.changes.withLock { $0 }
        let found = record.seen.withLock { $0 }
        var expected: Set<String> = []
        for fault in record.faults.withLock({ $0 }) {
            outcome.planted += 1
            expected.formUnion(fault.keys)
            let times = fault.keys.prefix(fault.timed).compactMap { found[$0] }
            guard times.count == fault.timed, let last = times.max() else {
                outcome.missed.append(
                    "\(fault.what) \(fault.keys.filter { found[$0] == nil }.joined(separator: " "))"
                )
                continue
            }
            if fault.isJustChanged {
                outcome.justChanged.append(last - fault.at)
            } else {
                outcome.atRest.append(last - fault.at)
            }
        }
        outcome.justChanged.sort()
        outcome.atRest.sort()
        outcome.false = found.keys.filter { !expected.contains($0) }.sorted()
        return outcome
    }

    /// One account's rows, in batches, so many changes a second.
    private func keepChanging(
        _ index: Int, until end: ContinuousClock.Instant, _ record: Record
    ) async throws {
        let perBatch = 50
        let pause = Duration.seconds(1) * perBatch * Self.busy / load.changesPerSecond
        var next = ContinuousClock.now
        var round = 0
        while ContinuousClock.now < end {
            let rows = (0..<perBatch).map { place in
                let number = (round * perBatch + place) % Self.rowsEach
                return Self.row(accounts[index], "S\(number)", round + place + 1)
            }
            do {
                try await put(rows, of: accounts[index])
                record.changes.withLock { $0 += perBatch }
            } catch {
                // The core is being started again.
                try await Task.sleep(for: .milliseconds(100))
            }
            round += 1
            next += pause
            try await Task.sleep(until: next, clock: .continuous)
        }
    }

    /// Writes down when each row is first said to be wrong.
    private func watch(_ record: Record) async throws {
        while true {
            let now = ContinuousClock.now
            for page in try pages() {
                for row in page.rows ?? [] {
                    guard let key = row.difference?.key else { continue }
                    let name = "\(key) in \(page.store)"
                    record.seen.withLock { seen in
                        if seen[name] == nil { seen[name] = now }
                    }
                }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func keepKilling(until end: ContinuousClock.Instant) async throws {
        var round = 0
        while ContinuousClock.now < end - .seconds(5) {
            try await Task.sleep(for: .seconds(4))
            switch round % 3 {
            case 0: try await desk.kill9("verify")
            case 1: try await desk.kill9("core")
            default:
                redis.kill()
                try await Task.sleep(for: .milliseconds(300))
                try await redis.start()
            }
            round += 1
        }
    }
}

// MARK: - Faults

extension VerifyDesk {
    /// Fifty of them: five of each kind, three in rows that have just changed and two in rows at rest.
    private func plant(
        until end: ContinuousClock.Instant, _ record: Record
    ) async throws {
        var hand = VandalHand(desk: self)
        let kinds = VandalHand.Kind.allCases
        let pause = (end - .now) / (kinds.count * 5 + 1)
        var next = ContinuousClock.now
        for round in 0..<5 {
            for kind in kinds {
                let isJustChanged = round < 3
                let (keys, at) = try await hand.damage(kind, isJustChanged: isJustChanged)
                record.faults.withLock {
                    $0.append(
                        Fault(
                            what: "\(kind)\(isJustChanged ? ", just changed" : "")", keys: keys,
                            timed: isJustChanged && kind.takesAnAccount ? 1 : keys.count,
                            isJustChanged: isJustChanged, at: at))
                }
                next += pause
                try await Task.sleep(until: next, clock: .continuous)
            }
        }
    }
}
