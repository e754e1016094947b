import CurlClient
import ExactJSON
import Foundation
import Synchronization
import Testing

/// Clients that post orders until they are stopped, and what each of them was told.
///
/// Under a lock: the clients are tasks on any thread; it is held for an insertion.
final class OrderLoad: Sendable {
    struct Posted: Sendable {
        let text: OrderText
        /// Nil when the answer was lost.
        var orderID: String?
    }

    struct Record: Sendable {
        /// By client order id: those that were accepted, and those whose answer was lost.
        var posted: [String: Posted] = [:]
        /// Client order ids that were refused for good.
        var refused: Set<String> = []
        /// Answers that no client should ever see.
        var oddities: [String] = []

        var accepted: [String: Posted] { posted.filter { $0.value.orderID != nil } }
        var lost: [String: Posted] { posted.filter { $0.value.orderID == nil } }
    }

    private let desk: Desk
    private let tokens: [String: String]
    private let state = Mutex(Record())
    private let isStopped = Mutex(false)

    static let symbols = ["AAPL", "TSLA", "GOOGL", "MSFT", "AMZN", "NVDA"]

    init(_ desk: Desk) async throws {
        self.desk = desk
        tokens = try await desk.tokens()
    }

    var record: Record { state.withLock { $0 } }
    var acceptedCount: Int { record.accepted.count }

    /// An order that a test has posted itself.
    func note(_ text: OrderText, orderID: String?) {
        guard let id = text.clientOrderID else { return }
        state.withLock { $0.posted[id] = Posted(text: text, orderID: orderID) }
    }

    /// Posts from several clients an account while `body` runs.
    func run(
        clientsPerAccount: Int = 2, pause: Duration = .milliseconds(15),
        while body: () async throws -> Void
    ) async throws {
        isStopped.withLock { $0 = false }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (account, token) in tokens {
                for client in 0..<clientsPerAccount {
                    let name = "\(account)-\(client)-\(UUID().uuidString.prefix(8))"
                    group.addTask {
                        await self.post(as: name, account: account, token, pause: pause)
                    }
                }
            }
            defer { isStopped.withLock { $0 = true } }
            try await body()
        }
    }

    /// Until so many more than now have been accepted.
    func wait(forMore count: Int) async throws {
        let before = acceptedCount
        try await eventually("\(count) more orders are accepted", within: .seconds(30)) {
            acceptedCount >= before + count
        }
    }

    /// One order more, of a client that keeps its own time; true when it was accepted.
    func postOne(account: String, _ token: String) async -> Bool {
        let id = "\(account)-\(UUID().uuidString)"
        return await post(OrderText(account: account, clientOrderID: id), id, token) != nil
    }

    private func post(
        as name: String, account: String, _ token: String, pause: Duration
    ) async {
        var chance = SystemRandomNumberGenerator()
        var number = 0
        while !isStopped.withLock({ $0 }), !Task.isCancelled {
            number += 1
            let id = "\(name)-\(number)"
            let text = Self.text(account, id, &chance)
            let orderID = await post(text, id, token)
            if let orderID, text.limit == "1.25" || number % 10 == 0 {
                _ = try? await desk.api(.delete, "/orders/\(orderID)", token)
            }
            try? await Task.sleep(for: pause)
        }
    }

    private func post(_ text: OrderText, _ id: String, _ token: String) async -> String? {
        do {
            let answer = try await desk.api(.post, "/orders", token, body: text.body)
            let orderID = answer.data?["order_id"]?.text
            state.withLock { record in
                switch (answer.status, orderID) {
                case (200...202, .some(let orderID)):
                    record.posted[id] = Posted(text: text, orderID: orderID)
                case (422, _): record.refused.insert(id)
                // A core that is going or coming: its queue may have been closed on an order.
                case (503, _): record.posted[id] = Posted(text: text)
                default: record.oddities.append("\(answer.status): \(answer.text.prefix(300))")
                }
            }
            return orderID
        } catch let error as CurlError where error.delivery == .notSent {
            return nil
        } catch {
            state.withLock { $0.posted[id] = Posted(text: text) }
            return nil
        }
    }

    /// Mostly orders that are filled at once, some that stay, some that are cancelled soon.
    private static func text(
        _ account: String, _ id: String, _ chance: inout SystemRandomNumberGenerator
    ) -> OrderText {
        var text = OrderText(account: account, clientOrderID: id)
        text.symbol = symbols.randomElement(using: &chance) ?? "AAPL"
        text.side = Int.random(in: 0..<3, using: &chance) == 0 ? "sell" : "buy"
        text.quantity = String(Int.random(in: 1...5, using: &chance))
        switch Int.random(in: 0..<10, using: &chance) {
        case 0: text.limit = text.side == "buy" ? "1.25" : "90000.5"
        case 1...4: text.limit = text.side == "buy" ? "9000.25" : "2.5"
        default: break
        }
        return text
    }
}
