import Dispatch
import Foundation
import Ledger

/// How far the service has come in each dataset and store, in one file of the data directory, so that it
/// goes on there when it was killed: which changes it has looked at, and where its walk through the rows
/// is.
actor VerificationProgress {
    /// Of one dataset in one store.
    struct Place: Codable, Equatable, Sendable {
        /// Every change up to this entry has been looked at.
        var followed: Int64?
        /// When the present cycle was begun: microseconds since 1970.
        var begun: Int64
        /// The last key that was looked at; nil at the beginning. In the canonical encoding, base64.
        var after: String?
        /// Whether all keys were looked at, and the store is walked through for what nobody journaled.
        var isAmongStrays = false
        /// Rows that were looked at in this cycle, of about so many; and those that were walked through
        /// afterwards.
        var done = 0
        var rows = 0
        var strays = 0
        /// Seconds that a cycle may take.
        var cycleSeconds: Int
        /// Why a cycle cannot be held, or cannot go on; nil when it can.
        var problem: String?

        enum CodingKeys: String, CodingKey {
            case followed, begun, after, done, rows, strays, problem
            case isAmongStrays = "is_among_strays"
            case cycleSeconds = "cycle_seconds"
        }

        /// Of the cycle, from 0 to 1.
        var share: Double {
            guard rows > 0 else { return isAmongStrays ? 1 : 0 }
            return min(1, Double(done + strays) / Double(2 * rows))
        }
    }

    private struct Content: Codable, Equatable {
        /// The journal's identity: positions in another one mean nothing here.
        var journal: String
        var places: [String: Place] = [:]
    }

    private let path: String
    private var content: Content
    private var written: Content?

    /// - Parameter journal: the identity of the journal that is followed.
    init(_ layout: DataLayout, journal: String) {
        path = Self.path(layout)
        let found = Self.read(path)
        content =
            found?.journal == journal
            ? found ?? Content(journal: journal) : Content(journal: journal)
        written = found
    }

    subscript(place: Verification.Place) -> Place? { content.places[Self.name(place)] }

    func update(_ place: Verification.Place, _ change: (inout Place?) -> Void) {
        change(&content.places[Self.name(place)])
    }

    /// Nothing of others than these is kept.
    func keepOnly(_ places: [Verification.Place]) {
        let names = Set(places.map(Self.name))
        content.places = content.places.filter { names.contains($0.key) }
    }

    /// On a thread of its own, because it waits for the disk.
    func flush() async throws(FileWriteError) {
        guard content != written else { return }
        let (content, path) = (content, path)
        let problem: FileWriteError? = await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                do throws(FileWriteError) {
                    let encoder = JSONEncoder()
                    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
                    guard let data = try? encoder.encode(content) else {
                        return continuation.resume(returning: nil)
                    }
                    try PrivateFile.replace(path, String(decoding: data, as: UTF8.self) + "\n")
                    continuation.resume(returning: nil)
                } catch {
                    continuation.resume(returning: error)
                }
            }
        }
        if let problem { throw problem }
        written = content
    }

    /// For those who only show it. By place.
    static func all(_ layout: DataLayout) -> [String: Place] { read(path(layout))?.places ?? [:] }

    static func name(_ place: Verification.Place) -> String { "\(place.dataset)@\(place.store)" }

    private static func path(_ layout: DataLayout) -> String { layout.verify + "/progress.json" }

    private static func read(_ path: String) -> Content? {
        FileManager.default.contents(atPath: path).flatMap {
            try? JSONDecoder().decode(Content.self, from: $0)
        }
    }
}

extension RowKey {
    /// As the files of a verification have it.
    var base64: String {
        let row = Row(dataset: dataset, values: values)
        return Data(row.encoded(keyCount: values.count)).base64EncodedString()
    }

    /// Nil for what is none.
    init?(base64: String) {
        guard let data = Data(base64Encoded: base64), let row = try? Row(encoded: Array(data))
        else { return nil }
        self.init(dataset: row.dataset, values: row.values)
    }
}
