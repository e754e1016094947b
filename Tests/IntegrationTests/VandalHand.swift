import CurlClient
import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

@testable import opsd

/// Damages one row after the other, none twice.
struct VandalHand {
    enum Kind: CaseIterable {
        case changed, swapped, deleted, added, older, retyped, reordered, expiring, truncated
        case oneByte

        var takesAnAccount: Bool { self == .expiring || self == .truncated }
    }

    let desk: VerifyDesk
    private var symbol = 0
    private var lone = VerifyDesk.busy + VerifyDesk.resting
    private var inPostgres = false

    init(desk: VerifyDesk) {
        self.desk = desk
    }

    /// A row that nobody damages but this.
    private mutating func nextRow() -> (account: String, symbol: String) {
        symbol += 1
        let place = VerifyDesk.busy + symbol % VerifyDesk.resting
        return (desk.accounts[place], "S\(symbol / VerifyDesk.resting + 1)")
    }

    /// An account of two rows.
    private mutating func nextAccount() -> String {
        lone += 1
        return desk.accounts[lone - 1]
    }

    private static func name(_ account: String, _ symbol: String, _ store: String) -> String {
        "held_days/\(account)/\(symbol) in \(store)"
    }

    /// Journals a row, and waits until a store shows it.
    private func change(_ account: String, _ symbol: String, _ days: Int) async throws {
        try await patiently {
            try await desk.put([VerifyDesk.row(account, symbol, days)], of: account)
        }
        try await eventually("\(symbol) has changed", within: .seconds(30)) {
            try await get(account, symbol).contains("\"days\":\(days),")
        }
    }

    /// While servers are killed, again.
    @discardableResult
    private func patiently<Result>(
        _ body: () async throws -> Result
    ) async throws -> Result {
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            do {
                return try await body()
            } catch {
                if ContinuousClock.now > deadline { throw error }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    private func redis(_ words: String...) async throws -> String {
        let outcome = try await Desk.command(
            ["redis-cli", "-p", "\(desk.redis.port)", "--raw", "-e"] + words,
            in: desk.desk.directory, program: "/usr/bin/env")
        guard outcome.code == 0 else { throw ChildProcess.Failure(description: "\(outcome)") }
        return outcome.output.trimmingCharacters(in: .newlines)
    }

    private func key(_ account: String) -> String { "acc:held:\(account)" }

    private func get(_ account: String, _ symbol: String) async throws -> String {
        try await redis("HGET", key(account), symbol)
    }

    private func set(_ account: String, _ symbol: String, _ value: String) async throws {
        try await patiently {
            _ = try await redis("HSET", key(account), symbol, value)
        }
    }

    private func sql(_ statement: String) async throws {
        _ = try await patiently { try await desk.postgres.psql(desk.database, statement) }
    }

    private func file(_ account: String) throws -> String {
        let configuration = try Configuration.load(desk.desk.configurationFile)
        let root = try #require(configuration.stores.first { $0.name == "files" }?.path)
        return "\(root)/\(account)/held_days.json"
    }

    /// - Returns: the rows that are to be found, and since when.
    mutating func damage(
        _ kind: Kind, isJustChanged: Bool
    ) async throws -> (keys: [String], at: ContinuousClock.Instant) {
        inPostgres.toggle()
        let days = 900_000 + symbol * 3
        switch kind {
        case .expiring, .truncated:
            let account = nextAccount()
            if isJustChanged { try await change(account, "S0", days) }
            let store = kind == .expiring ? "hot" : "files"
            if kind == .expiring {
                try await patiently { _ = try await redis("EXPIRE", key(account), "3600") }
            } else {
                let path = try file(account)
                if isJustChanged {
                    try await eventually("the file has it") {
                        try String(contentsOfFile: path, encoding: .utf8).contains(
                            "\"days\":\(days),")
                    }
                }
                let bytes = try #require(FileManager.default.contents(atPath: path))
                try bytes.prefix(bytes.count / 2).write(to: URL(filePath: path))
            }
            let now = ContinuousClock.now
            return (["S0", "S1"].map { Self.name(account, $0, store) }, now)
        case .swapped:
            let (one, two) = (nextRow(), nextRow())
            if isJustChanged {
                try await change(one.account, one.symbol, days)
                try await change(two.account, two.symbol, days + 1)
            }
            let values = (
                try await patiently { try await get(one.account, one.symbol) },
                try await patiently { try await get(two.account, two.symbol) }
            )
            try await set(one.account, one.symbol, values.1)
            try await set(two.account, two.symbol, values.0)
            return (
                [one, two].map { Self.name($0.account, $0.symbol, "hot") }, .now
            )
        default: return try await damageOne(kind, nextRow(), days, isJustChanged)
        }
    }

    private func damageOne(
        _ kind: Kind, _ row: (account: String, symbol: String), _ days: Int,
        _ isJustChanged: Bool
    ) async throws -> (keys: [String], at: ContinuousClock.Instant) {
        let (account, symbol) = row
        let before = try await patiently { try await get(account, symbol) }
        if isJustChanged { try await change(account, symbol, days) }
        let value = try await patiently { try await get(account, symbol) }
        let place = "account_id = '\(account)' AND symbol = '\(symbol)'"
        switch kind {
        case .changed where inPostgres && !isJustChanged:
            try await sql("UPDATE held_days SET days = days + 1 WHERE \(place)")
            return ([Self.name(account, symbol, "record")], .now)
        case .changed:
            try await set(
                account, symbol, value.replacing(".25", with: ".26"))
        case .deleted where inPostgres && !isJustChanged:
            try await sql("DELETE FROM held_days WHERE \(place)")
            return ([Self.name(account, symbol, "record")], .now)
        case .deleted:
            try await patiently { _ = try await redis("HDEL", key(account), symbol) }
        case .added where isJustChanged:
            return try await resurrected(account, symbol, value)
        case .added:
            try await set(account, "X\(symbol)", value)
            return ([Self.name(account, "X\(symbol)", "hot")], .now)
        case .older:
            if !isJustChanged {
                try await change(account, symbol, days)
                // It rests again.
                try await Task.sleep(for: .seconds(3))
            }
            try await set(account, symbol, before)
        case .retyped:
            try await set(
                account, symbol, value.replacing("\"days\":", with: "\"days\":\"x\",\"d\":"))
        case .reordered:
            try await set(
                account, symbol, value.replacing("\"b\",\"c\"", with: "\"c\",\"b\""))
        case .oneByte:
            let path = try file(account)
            try await eventually("the file has it") {
                try !isJustChanged
                    || String(contentsOfFile: path, encoding: .utf8).contains("\"days\":\(days),")
            }
            try flipOneByte(of: symbol, in: path)
            return ([Self.name(account, symbol, "files")], .now)
        case .swapped, .expiring, .truncated: break
        }
        return ([Self.name(account, symbol, "hot")], .now)
    }

    /// A row that was deleted a moment ago, and lies there again.
    private func resurrected(
        _ account: String, _ symbol: String, _ value: String
    ) async throws -> (keys: [String], at: ContinuousClock.Instant) {
        try await patiently {
            let answer = try await desk.desk.api(
                .post, "/data/held_days:batch", try #require(desk.tokens[account]),
                body: "{\"delete\":[{\"account_id\":\"\(account)\",\"symbol\":\"\(symbol)\"}]}")
            try #require(answer.status == 200 || answer.status == 202, "\(answer.text)")
        }
        try await eventually("it is gone", within: .seconds(30)) {
            try await get(account, symbol).isEmpty
        }
        try await set(account, symbol, value)
        return ([Self.name(account, symbol, "hot")], .now)
    }

    /// The first digit of a row's price.
    private func flipOneByte(of symbol: String, in path: String) throws {
        var text = try String(contentsOfFile: path, encoding: .utf8)
        let row = try #require(text.range(of: "\"\(symbol)\":"))
        let price = try #require(
            text.range(of: "\"max_price\":\"", range: row.upperBound..<text.endIndex))
        let digit = text[price.upperBound]
        text.replaceSubrange(
            price.upperBound...price.upperBound, with: digit == "9" ? "8" : "9")
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    }
}
