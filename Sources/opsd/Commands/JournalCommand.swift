import ArgumentParser
import CurlClient
import Foundation
import Ledger
import SQLiteStore
import Trading
import TradingHTTP

struct JournalCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "journal", abstract: "Reads and proves the journal; never writes it.",
        subcommands: [Tail.self, Show.self, Check.self])

    struct Tail: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The last entries.", discussion: "Example: opsd journal tail -n 50")

        @Option(name: .customShort("n"), help: "How many entries.") var count = 20
        @OptionGroup var options: CommonOptions

        func run() throws {
            guard (1...100_000).contains(count) else {
                throw CommandFailure(.badInput, "-n: write a number from 1 to 100000")
            }
            try JournalAccess(options).read { reader in
                let head = try reader.head().sequence
                let first = max(head.rawValue - Int64(count), head.epoch << 40)
                let entries = try reader.entries(
                    after: SequenceNumber(rawValue: first), limit: count)
                for entry in entries { EntryText.showLine(entry, options) }
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "One entry with every change.",
            discussion: "SEQ is a sequence number, or EPOCH-NUMBER. Example: opsd journal show 1-42"
        )

        @Argument(help: "The entry's sequence number.") var sequence: String
        @OptionGroup var options: CommonOptions

        func run() throws {
            guard let wanted = SequenceNumber(sequence), wanted.rawValue > 0 else {
                throw CommandFailure(
                    .badInput, "'\(sequence)' is no sequence number; write 1099511627818 or 1-42")
            }
            let access = try JournalAccess(options)
            try access.read { reader in
                let before = SequenceNumber(rawValue: wanted.rawValue - 1)
                guard let entry = try reader.entries(after: before, limit: 1).first,
                    entry.sequence == wanted
                else {
                    throw CommandFailure(
                        .badInput,
                        "there is no entry \(sequence); the last is \(try reader.head().sequence)")
                }
                EntryText.showWhole(entry, access.catalogue, options)
            }
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Verifies every checksum from the first entry to the last.",
            discussion: """
                Exit code 1 and the place when a byte is not what was written, or when the core's \
                checkpoint has entries that the journal lacks, or the journal is gone altogether.
                Example: opsd journal check
                """)

        @OptionGroup var options: CommonOptions

        func run() async throws {
            let configuration = try options.loadConfiguration()
            // First, so that what is committed meanwhile is no finding.
            let checkpoint = await CheckpointHead(configuration).read()
            let layout = DataLayout(configuration)
            if try !layout.hasJournal(),
                case .success(let applied) = checkpoint, applied > .none
            {
                throw CommandFailure(
                    .found,
                    "the journal in \(layout.journal) is gone, but the checkpoint has entry "
                        + "\(applied): put the journal back, or move \(layout.checkpoint) away too "
                        + "and begin anew from the broker")
            }
            try JournalAccess(options).read { reader in
                let (count, last) = try Self.verify(reader)
                // A damaged end of the write-ahead log is no error to SQLite: it drops it.
                if case .success(let applied) = checkpoint, applied > last {
                    throw CommandFailure(
                        .found,
                        "the journal ends at entry \(last), but the checkpoint has entry "
                            + "\(applied): the entries between are missing from the journal")
                }
                options.show("the journal is whole: \(count) entries, the last is \(last)") {
                    json in
                    json.member("entries", count)
                    json.member("last_sequence", last.description)
                    json.member("whole", true)
                }
            }
            if case .failure(let problem) = checkpoint {
                throw CommandFailure(
                    .unknown, "the checkpoint could not be compared: \(problem.message)")
            }
        }

        private static func verify(
            _ reader: JournalReader
        ) throws -> (count: Int, last: SequenceNumber) {
            var position = SequenceNumber.none
            var count = 0
            while true {
                let page = try reader.entries(after: position, limit: 5_000)
                guard let last = page.last else { return (count, position) }
                count += page.count
                position = last.sequence
            }
        }
    }
}

/// The last entry that the core's checkpoint has, which the journal must have too.
private struct CheckpointHead {
    let configuration: Configuration

    init(_ configuration: Configuration) {
        self.configuration = configuration
    }

    private struct Status: Decodable {
        let checkpoint_sequence: String
    }

    func read() async -> Result<SequenceNumber, CommandFailure> {
        do {
            if let answer = try await CoreAccess(configuration).ask(.get, "/control/status") {
                let text = try answer.data(Status.self).checkpoint_sequence
                return .success(SequenceNumber(text) ?? .none)
            }
            let path = DataLayout(configuration).checkpoint
            guard FileManager.default.fileExists(atPath: path) else { return .success(.none) }
            return .success(try await SQLiteStore.appliedSequence(path: path))
        } catch let failure as CommandFailure {
            return .failure(failure)
        } catch {
            return .failure(CommandFailure(.unknown, "\(error)"))
        }
    }
}

/// Opens the journal of the configuration, and says in exit codes what reading it said.
private struct JournalAccess {
    let directory: String
    /// The datasets whose fields have names.
    let catalogue: SchemaCatalogue

    init(_ options: CommonOptions) throws(CommandFailure) {
        let configuration = try options.loadConfiguration()
        directory = DataLayout(configuration).journal
        catalogue = configuration.catalogue
    }

    func read(_ body: (JournalReader) throws -> Void) throws {
        do {
            try body(try JournalReader(directory: directory))
        } catch let error as JournalError {
            switch error {
            case .damaged: throw CommandFailure(.found, "\(error)")
            case .missing: throw CommandFailure(.badInput, "\(error)")
            default: throw CommandFailure(.unknown, "\(error)")
            }
        }
    }
}

private enum EntryText {
    /// What a person reads of one line.
    private static let lineRowsMax = 20

    static func showLine(_ entry: Entry, _ options: CommonOptions) {
        let more = entry.changes.count - lineRowsMax
        let rows =
            entry.changes.prefix(lineRowsMax).map { key($0) }.joined(separator: " ")
            + (more > 0 ? " and \(more) more" : "")
        options.show(
            "\(entry.sequence) \(entry.time) \(entry.kind) \(actor(entry)) \(rows)"
        ) { json in
            head(entry, &json)
            json.name("rows")
            json.array(entry.changes) { $0.value(key($1)) }
        }
    }

    static func showWhole(
        _ entry: Entry, _ catalogue: SchemaCatalogue, _ options: CommonOptions
    ) {
        let lines = entry.changes.map { change in
            let fields = named(change, catalogue).map { "    \($0.name): \($0.value)" }
            return "  \(change.operation) \(key(change))\n" + fields.joined(separator: "\n")
        }
        let digests = entry.draft.digests.map {
            "  digest \($0.scope.dataset)/\($0.scope.account): \($0.digest)"
        }
        options.show(
            """
            \(entry.sequence) (\(entry.sequence.epochAndNumber)) \(entry.time) \(entry.kind) \
            \(actor(entry))
            \((lines + digests).joined(separator: "\n"))
              checksum \(entry.checksum)
            """
        ) { json in
            head(entry, &json)
            json.member("checksum", entry.checksum.description)
            json.name("changes")
            json.array(entry.changes) { json, change in
                json.object { json in
                    json.member("operation", "\(change.operation)")
                    json.member("dataset", change.dataset)
                    json.name("row")
                    json.object { json in
                        for field in named(change, catalogue) {
                            json.name(field.name)
                            json.value(field.value)
                        }
                    }
                }
            }
        }
    }

    private static func head(_ entry: Entry, _ json: inout JSONWriter) {
        json.member("sequence", entry.sequence.description)
        json.member("time", entry.time)
        json.member("kind", entry.kind)
        json.member("actor", entry.draft.actor)
    }

    private static func actor(_ entry: Entry) -> String {
        entry.draft.actor.isEmpty ? "core" : entry.draft.actor
    }

    private static func key(_ change: RowChange) -> String {
        (try? change.storeChange(at: .none, in: SchemaCatalogue([])))?.key.description
            ?? change.dataset
    }

    private static func named(
        _ change: RowChange, _ catalogue: SchemaCatalogue
    ) -> [(name: String, value: Value)] {
        guard let row = try? change.row() else { return [] }
        let schema = catalogue[change.dataset]
        return row.values.enumerated().map { index, value in
            let name = schema.flatMap { index < $0.fields.count ? $0.fields[index].name : nil }
            return (name ?? "\(index)", value)
        }
    }
}
