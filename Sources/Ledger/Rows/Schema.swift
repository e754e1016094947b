/// What may happen to a dataset's rows; `docs/ARCHITECTURE.md` has the table.
public enum DatasetKind: String, Sendable, Hashable, CaseIterable {
    /// It happened: never changed back, never restored in place.
    case fact
    /// Computed from facts, and recomputed from them when in doubt.
    case derived
    /// What people and programs declare.
    case declared
    /// May vanish at any time.
    case cache
}

public struct Field: Sendable, Hashable {
    public let name: String
    public let type: FieldType
    public let isOptional: Bool

    public init(_ name: String, _ type: FieldType, optional: Bool = false) {
        self.name = name
        self.type = type
        isOptional = optional
    }
}

/// The shape of one dataset's rows.
public struct Schema: Sendable, Hashable {
    public let dataset: String
    public let kind: DatasetKind
    /// Key fields first, in the order of the key; then the others, in their declared order.
    public let fields: [Field]
    public let keyCount: Int
    /// The field whose value is the account a row belongs to; nil for what belongs to no account.
    public let accountField: Int?
    /// What a store with indexes indexes, beside the key.
    public let indexes: [Index]

    public init(
        dataset: String, kind: DatasetKind, key: [Field], fields: [Field],
        accountField: String? = nil, indexes: [Index] = []
    ) {
        self.dataset = dataset
        self.kind = kind
        self.fields = key + fields
        keyCount = key.count
        self.accountField = accountField.flatMap { name in
            (key + fields).firstIndex { $0.name == name }
        }
        self.indexes = indexes
    }

    public func index(of field: String) -> Int? {
        fields.firstIndex { $0.name == field }
    }

    public var keyFields: ArraySlice<Field> { fields.prefix(keyCount) }
}

public struct Index: Sendable, Hashable {
    public let fields: [String]
    /// Only rows that have this optional field are in the index.
    public let present: String?

    public init(_ fields: String..., present: String? = nil) {
        self.fields = fields
        self.present = present
    }
}

/// The schemas that a process knows, by dataset.
public struct SchemaCatalogue: Sendable {
    public let schemas: [Schema]
    private let byDataset: [String: Schema]

    public init(_ schemas: [Schema]) {
        self.schemas = schemas
        byDataset = Dictionary(
            schemas.map { ($0.dataset, $0) }, uniquingKeysWith: { first, _ in first })
    }

    public subscript(dataset: String) -> Schema? { byDataset[dataset] }
}
