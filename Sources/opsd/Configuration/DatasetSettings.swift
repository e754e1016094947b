import Ledger
import Trading

/// One entry of `datasets`: where a dataset's rows are kept, and for one that the trading core does not
/// have, what they are made of.
struct DatasetSettings: Sendable, Equatable {
    var name: String
    /// Nil for a dataset of the trading core.
    var declared: DeclaredDataset?
    var old: String?
    /// Never without `old`.
    var new: String?
    /// Further copies: written, never read.
    var also: [String] = []
    /// Nil: decided by the stage, which without switches is the old store.
    var read: ReadSide?
    var fallback: ReadSide?
    /// By store. A store that has none lays the rows out in its own way.
    var layout: [String: LayoutSettings] = [:]
}

enum ReadSide: String, Sendable, CaseIterable {
    case old, new

    var other: ReadSide { self == .old ? .new : .old }
}

/// A dataset that the file itself describes.
struct DeclaredDataset: Sendable, Equatable {
    /// Declared or cache: facts and what is derived from them are the trading core's.
    var kind: DatasetKind
    var schema: Schema
    /// Holds for a declared one; a cache's rows are dropped.
    var onFailure = FailureRule.rollForward
}

extension Configuration {
    /// What the file declares to be kept; a cache is not.
    var declaredSchemas: [Schema] {
        datasets.compactMap { $0.declared.flatMap { $0.kind == .declared ? $0.schema : nil } }
    }

    /// Every dataset whose rows are kept: the trading core's, and those declared.
    var catalogue: SchemaCatalogue {
        SchemaCatalogue(Datasets.catalogue.schemas + declaredSchemas)
    }
}

/// What happens to a write when one of its stores fails.
enum FailureRule: String, Sendable, CaseIterable {
    case rollForward = "roll_forward"
    case rollBack = "roll_back"
}

/// How a dataset lies in one store. Which of these a store knows depends on its kind.
struct LayoutSettings: Sendable, Equatable {
    /// Of redis: a template of the key, always there.
    var key: String?
    /// Of redis: a template of the field of a hash that holds many rows.
    var field: String?
    /// Of redis: `json`, `hash`, or the name of the one field whose text is the value. Nil: `json`.
    /// Of files: the name of the one field that stands there by itself. Nil: an object.
    var value: String?
    /// Of redis and files: the fields that are shown, with the names they have there. Empty: all, by
    /// their own names.
    var fields: [String: String] = [:]
    /// Of redis, and of a cache only.
    var timeToLive: Duration?
    /// Of files: a template, relative to the store's folder.
    var path: String?
    /// Of files: `json` or `csv`. Nil: `json`.
    var format: String?
    /// Of files: members of a JSON file that are no rows.
    var ignored: [String] = []
    /// Of postgres and sqlite; in postgres `schema.table` too.
    var table: String?
    /// Of postgres and sqlite: the columns of fields that have others than their own names.
    var columns: [String: String] = [:]
}

enum FileFormat: String, Sendable, CaseIterable {
    case json, csv
}
