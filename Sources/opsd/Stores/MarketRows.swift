import ExactJSON
import Ledger
import Trading

// Market data as rows of caches, and back. What comes back may be anybody's: it is read as it stands, and
// whoever asked judges it.

extension BrokerQuote {
    var row: Row {
        Row(
            dataset: Datasets.quotes.dataset,
            values: [
                .text(symbol), .decimal(bidPrice), .decimal(askPrice), .decimal(lastPrice),
                .integer(Int64(volume)), .timestamp(timestamp),
            ])
    }

    init?(row: Row) {
        let values = row.values
        guard values.count == Datasets.quotes.fields.count, case .text(let symbol) = values[0],
            case .decimal(let bid) = values[1], case .decimal(let ask) = values[2],
            case .decimal(let last) = values[3], case .integer(let volume) = values[4],
            case .timestamp(let time) = values[5]
        else { return nil }
        self.init(
            symbol: symbol, bidPrice: bid, askPrice: ask, lastPrice: last, volume: Int(volume),
            timestamp: time)
    }

    /// For those who listen.
    var message: [UInt8] {
        var bytes: [UInt8] = []
        RowJSON.append(zip(Datasets.quotes.fields, row.values).map { ($0, $1) }, to: &bytes)
        return bytes
    }
}

extension BarWindow {
    func row(_ symbol: String, _ timeframe: Timeframe) -> Row {
        Row(
            dataset: Datasets.bars.dataset,
            values: [
                .text(symbol), .text(timeframe.rawValue), .text(text), .timestamp(from),
                .timestamp(before), .timestamp(fetchedAt),
            ])
    }

    /// Numbers and not strings: other programs read it as a table.
    private var text: String {
        let objects = bars.map { bar in
            JSONText.object { json in
                json.string("timestamp", bar.timestamp.description)
                json.number("open", bar.open)
                json.number("high", bar.high)
                json.number("low", bar.low)
                json.number("close", bar.close)
                json.number("volume", bar.volume)
            }
        }
        return String(decoding: JSONText.array(objects).bytes, as: UTF8.self)
    }

    init?(row: Row) {
        let values = row.values
        guard values.count == Datasets.bars.fields.count, case .text(let text) = values[2],
            case .timestamp(let from) = values[3], case .timestamp(let before) = values[4],
            case .timestamp(let fetchedAt) = values[5],
            let objects = (try? JSONValue(parsing: Array(text.utf8)))?.elements
        else { return nil }
        var bars: [Bar] = []
        for object in objects {
            guard let bar = Bar(object) else { return nil }
            bars.append(bar)
        }
        self.init(from: from, before: before, fetchedAt: fetchedAt, bars: bars)
    }
}

extension Bar {
    fileprivate init?(_ json: JSONValue) {
        guard let time = json["timestamp"]?.text.flatMap({ Timestamp($0) }),
            let open = json["open"]?.decimal, let high = json["high"]?.decimal,
            let low = json["low"]?.decimal, let close = json["close"]?.decimal,
            let volume = json["volume"]?.integer
        else { return nil }
        self.init(
            timestamp: time, open: open, high: high, low: low, close: close, volume: volume)
    }
}

extension Account {
    /// What it may do; nothing secret.
    var configRow: Row {
        Row(
            dataset: Datasets.accountConfigs.dataset,
            values: [
                .text(id), .text(role.rawValue), .text(status.rawValue),
                .integer(Int64(connectionPool.maxConnections)), .text(priority.rawValue),
            ])
    }
}
