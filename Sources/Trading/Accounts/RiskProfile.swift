public import Ledger

/// The limits that a master account sets to its trading accounts.
public struct RiskProfile: Sendable, Hashable {
    /// Account currency a day, as a positive number; nil: no limit.
    public var maxDailyLoss: ExactDecimal?
    /// Market value of one position in account currency; nil: no limit.
    public var maxPositionSize: ExactDecimal?
    public var allowedInstruments: AllowedInstruments = .all

    public init() {}
}

public enum InstrumentClass: String, Sendable, Hashable, CaseIterable {
    case stocks, options

    /// Options carry OCC symbols: the root, six digits of the date, C or P, eight digits of the
    /// strike price. Everything else is a stock.
    public init(symbol: String) {
        let letters = Array(symbol.utf8)
        let root = letters.dropLast(15)
        let tail = letters.suffix(15)
        let isDigit = { (byte: UInt8) in (48...57).contains(byte) }
        let isOption =
            (1...6).contains(root.count) && tail.prefix(6).allSatisfy(isDigit)
            && tail.suffix(8).allSatisfy(isDigit)
            && (tail.dropFirst(6).first == UInt8(ascii: "C")
                || tail.dropFirst(6).first == UInt8(ascii: "P"))
        self = isOption ? .options : .stocks
    }
}

/// `allowed_instruments`: the documents' classes (`stocks`, `options`), symbols by name (`AAPL`), or
/// both. A symbol is allowed when its class or the symbol itself is listed.
public enum AllowedInstruments: Sendable, Hashable {
    /// The key is absent.
    case all
    case only(classes: Set<InstrumentClass>, symbols: Set<String>)

    public func allows(symbol: String) -> Bool {
        switch self {
        case .all: true
        case .only(let classes, let symbols):
            symbols.contains(symbol) || classes.contains(InstrumentClass(symbol: symbol))
        }
    }

    /// Symbols are written in capitals, so that a misspelt class is not taken for one.
    public static func isSymbol(_ text: String) -> Bool {
        guard (1...32).contains(text.utf8.count) else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
    }
}
