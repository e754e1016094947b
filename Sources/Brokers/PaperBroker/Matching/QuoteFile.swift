import Foundation
import Ledger

/// Quotes in a CSV file, which the market plays instead of walking by itself.
public enum QuoteFile {
    static let head = "symbol,timestamp,bid_price,ask_price,last_price,volume"

    /// Throws what the paper broker would refuse when it starts.
    public static func check(_ path: String) throws(QuoteFileError) {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw QuoteFileError(
                problem: "cannot be read", remedy: "create it, or correct the path")
        }
        _ = try QuoteReplay(csv: text)
    }

    static func quote(_ line: Substring, number: Int) throws(QuoteFileError) -> PaperQuote {
        let cells = line.split(separator: ",", omittingEmptySubsequences: false)
        guard cells.count == 6 else {
            throw QuoteFileError(
                problem: "line \(number) has \(cells.count) cells", remedy: "write \(head)")
        }
        guard let time = Timestamp(cells[1]) else {
            throw QuoteFileError(
                problem: "line \(number) has no valid timestamp",
                remedy: "write RFC 3339, as in 2026-01-31T09:30:00Z")
        }
        guard let bid = ExactDecimal(cells[2]), let ask = ExactDecimal(cells[3]),
            let last = ExactDecimal(cells[4]), let volume = Int(cells[5])
        else {
            throw QuoteFileError(
                problem: "line \(number) has a price or volume that is no number",
                remedy: "write decimals such as 189.29, and a whole volume")
        }
        guard bid.isPositive, bid <= ask, ask <= OrderRules.priceMax, bid.scale <= 9,
            ask.scale <= 9
        else {
            throw QuoteFileError(
                problem: "line \(number) has prices that no market has",
                remedy: "write a bid above zero and not above the ask")
        }
        return PaperQuote(
            symbol: String(cells[0]), bidPrice: bid, askPrice: ask, lastPrice: last,
            volume: volume, time: time)
    }
}

/// A quotes file does not read. Trying again helps once the file is corrected.
public struct QuoteFileError: Error, Sendable, CustomStringConvertible {
    public let problem: String
    public let remedy: String

    public var description: String { "the quotes file: \(problem); \(remedy)" }
}
