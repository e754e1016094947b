internal import ExactJSON
internal import Ledger

/// `.opsd/store.json`: what the store is a copy of, how far, and the digests as of then.
struct StoreFile: Sendable {
    static let name = ".opsd/store.json"

    var position = StorePosition.empty
    var digests: [DigestScope: Digest] = [:]
    /// In which names of files are written; of the first one there is no mention.
    var spelling = KeyTemplate.spelling
    /// Of the file that it was read from.
    var identity: Folder.Identity?

    init() {}

    init?(_ bytes: [UInt8]) {
        guard let json = try? JSONValue(parsing: bytes), let applied = json["applied"]?.integer,
            let datasets = json["datasets"]?.elements, let stamps = json["digests"]?.elements
        else { return nil }
        position = StorePosition(
            journal: json["journal"]?.text, applied: SequenceNumber(rawValue: Int64(applied)),
            datasets: Set(datasets.compactMap(\.text)))
        spelling = json["spelling"]?.integer ?? 1
        for stamp in stamps {
            guard let dataset = stamp["dataset"]?.text, let account = stamp["account"]?.text,
                let digits = stamp["sum"]?.text, let sum = UInt128(digits, radix: 16),
                let count = stamp["count"]?.integer
            else { return nil }
            digests[DigestScope(dataset: dataset, account: account)] = Digest(
                sum: sum, count: Int64(count))
        }
    }

    var bytes: [UInt8] {
        let stamps = digests.sorted { $0.key < $1.key }.map { scope, digest in
            JSONText.object {
                $0.string("dataset", scope.dataset)
                $0.string("account", scope.account)
                $0.string("sum", String(digest.sum, radix: 16))
                $0.number("count", digest.count)
            }
        }
        let datasets = position.datasets.sorted().map { name in
            var text: [UInt8] = []
            RowJSON.appendQuoted(name, to: &text)
            return String(decoding: text, as: UTF8.self)
        }
        let text = JSONText.object {
            $0.string("journal", position.journal)
            $0.number("applied", position.applied.rawValue)
            $0.number("spelling", KeyTemplate.spelling)
            $0.value("digests", .array(stamps))
        }
        // The list of names goes before the closing brace.
        return text.bytes.dropLast()
            + Array(",\"datasets\":[\(datasets.joined(separator: ","))]}\n".utf8)
    }
}
