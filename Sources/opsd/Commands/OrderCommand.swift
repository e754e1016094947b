import ArgumentParser
import CurlClient
import Foundation
import Ledger
import Trading
import TradingHTTP

struct OrderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "order", abstract: "Shows, cancels and resolves orders.",
        subcommands: [Show.self, Cancel.self, Resolve.self])

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "One order, live or past.",
            discussion: "Example: opsd order show o1-000000000042")

        @Argument(help: "The order's id.") var id: String
        @OptionGroup var options: CommonOptions

        func run() async throws {
            let access = CoreAccess(try options.loadConfiguration())
            OrderPath.show(try await OrderPath.find(id, access), options)
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Cancels an order; at the broker its word decides.",
            discussion: "Example: opsd order cancel o1-000000000042 --reason 'fat finger'")

        @Argument(help: "The order's id.") var id: String
        @OptionGroup var options: CommonOptions
        @OptionGroup var who: OperatorOptions
        @Flag(help: "Say what would change, and change nothing.") var dryRun = false

        func run() async throws {
            try await OrderPath.change(
                "cancel", id, resolution: nil, options: options, who: who, dryRun: dryRun)
        }
    }

    struct Resolve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Settles an order whose fate at the broker is unknown.",
            discussion: """
                lookup asks the broker again now, and journals what it says, not the reason; rejected \
                is for when the broker has told you that it has no such order.
                Example: opsd order resolve o1-000000000042 --as rejected --reason 'broker desk, 03:12'
                """)

        @Argument(help: "The order's id.") var id: String
        @Option(name: .customLong("as"), help: "lookup or rejected.") var resolution: String
        @OptionGroup var options: CommonOptions
        @OptionGroup var who: OperatorOptions
        @Flag(help: "Say what would change, and change nothing.") var dryRun = false

        func run() async throws {
            guard TradingState.Resolution(rawValue: resolution) != nil else {
                throw CommandFailure(.badInput, "--as: write lookup or rejected")
            }
            try await OrderPath.change(
                "resolve", id, resolution: resolution, options: options, who: who, dryRun: dryRun)
        }
    }
}

enum OrderPath {
    /// An order as it stands, from the running core or from what is durable.
    static func find(_ id: String, _ access: CoreAccess) async throws -> Line {
        let path = "/control/orders/\(ServiceClient.segment(id))"
        if let answer = try await access.ask(.get, path) { return try answer.data(Line.self) }
        return Line(
            try await access.withStoppedCore { core in
                guard let order = try await core.history.order(id) else {
                    throw EngineError.refused(.unknownOrder(id))
                }
                return order
            })
    }

    /// Why the core would refuse; nil when it would not.
    private static func refusal(_ verb: String, _ order: Line) -> Refusal? {
        let status = OrderStatus(rawValue: order.status)
        switch verb {
        case "cancel":
            return status?.isTerminal == true
                ? .notCancelable(orderID: order.order_id, status: order.status) : nil
        default:
            return status == .unknown
                ? nil : .notResolvable(orderID: order.order_id, status: order.status)
        }
    }

    static func change(
        _ verb: String, _ id: String, resolution: String?, options: CommonOptions,
        who: OperatorOptions, dryRun: Bool
    ) async throws {
        let configuration = try options.loadConfiguration()
        let act = CoreControl.Act(
            operatorName: try who.require(configuration), reason: who.reason ?? "no reason given",
            resolution: resolution)
        let access = CoreAccess(configuration)
        if dryRun {
            if let refusal = refusal(verb, try await find(id, access)) {
                throw CommandFailure(.refused, "\(refusal)")
            }
            options.show("would \(verb) \(id)") { json in
                json.member("order_id", id)
                json.member("would", verb)
            }
            return
        }
        let path = "/control/orders/\(ServiceClient.segment(id))/\(verb)"
        if let answer = try await access.ask(.post, path, act) {
            return show(try answer.data(Line.self), options)
        }
        let change = OrderChange(verb: verb, orderID: id, act: act)
        let changed = try await access.withStoppedCore { try await change.perform(on: $0) }
        show(Line(changed), options)
    }

    /// The order as the core's answer has it.
    struct Line: Decodable {
        let order_id: String
        let account_id: String
        let symbol: String
        let side: String
        let type: String
        let qty: String
        let status: String
        let filled_qty: String
        let avg_fill_price: String?
        let reason: String?
        let created_at: String

        init(_ order: Order) {
            order_id = order.orderID
            account_id = order.accountID
            symbol = order.terms.symbol
            side = order.terms.side.rawValue
            type = order.terms.type.rawValue
            qty = "\(order.terms.quantity)"
            status = order.status.rawValue
            filled_qty = "\(order.filledQuantity)"
            avg_fill_price = order.averageFillPrice?.description
            reason = order.reason
            created_at = "\(order.createdAt)"
        }
    }

    static func show(_ line: Line, _ options: CommonOptions) {
        let price = line.avg_fill_price.map { " at \($0)" } ?? ""
        let reason = line.reason.map { " (\($0))" } ?? ""
        options.show(
            "\(line.order_id) \(line.account_id) \(line.side) \(line.qty) \(line.symbol) "
                + "\(line.type): \(line.status)\(reason), filled \(line.filled_qty)\(price), "
                + "accepted \(line.created_at)"
        ) { json in
            json.member("order_id", line.order_id)
            json.member("account_id", line.account_id)
            json.member("symbol", line.symbol)
            json.member("side", line.side)
            json.member("type", line.type)
            json.member("qty", line.qty)
            json.member("status", line.status)
            json.member("filled_qty", line.filled_qty)
            json.member("avg_fill_price", line.avg_fill_price)
            json.member("reason", line.reason)
            json.member("created_at", line.created_at)
        }
    }
}
