import HTTPTypes
import Hummingbird
import Ledger
import Trading

/// `/api/v1/data/…`: the declared datasets, for programs in other languages.
///
/// A write is a journal entry like any other, and durable before it is answered. Whether an `If-Match`
/// holds is decided by the engine, never by a store. Rows of another account are not there.
struct DataAPI: Sendable {
    let core: TradingCore
    let history: DataHistory
    let delivery: (any DataDelivery)?

    init(
        core: TradingCore, routed: (any RoutedRows)?, delivery: (any DataDelivery)?
    ) {
        self.core = core
        history = routed.map(core.data.reading) ?? core.data
        self.delivery = delivery
    }

    func addRoutes(to api: RouterGroup<APIContext>) {
        api.get("data/{dataset}", use: list)
        api.post("data/{dataset}", use: writeBatch)
        api.get("data/{dataset}/**", use: getRow)
        api.put("data/{dataset}/**", use: putRow)
        api.delete("data/{dataset}/**", use: deleteRow)
    }

    // MARK: Whose it is

    private func schema(_ name: String) throws(APIError) -> Schema {
        if let schema = core.declared[name] { return schema }
        if Datasets.catalogue[name] != nil {
            throw APIError(
                status: .forbidden,
                message: "'\(name)' is the trading core's own, and has routes of its own")
        }
        throw .notFound("no dataset '\(name.prefix(60))' is declared to be kept")
    }

    /// Rows without an account are everybody's, so only who looks after the desk writes them.
    private func requireWriting(
        _ schema: Schema, _ principal: Principal
    ) throws(APIError) {
        try principal.require(schema.accountField == nil ? "manage_data" : "trade")
    }

    /// Whose rows the request reaches; empty where they belong to nobody.
    private func account(_ schema: Schema, _ principal: Principal) -> String {
        schema.accountField == nil ? "" : principal.accountID
    }

    /// The row of another account is not there, whether there is one or not.
    private func check(
        _ account: String, _ key: RowKey, _ principal: Principal
    ) throws(APIError) {
        guard account.isEmpty || account == principal.accountID else {
            throw APIError(Refusal.unknownRow(key.description))
        }
    }

    /// The account that a key tells of; empty when it tells of none.
    private func account(of key: RowKey, in schema: Schema) -> String {
        guard let field = schema.accountField, field < schema.keyCount else { return "" }
        return key.values[field].text ?? ""
    }

    // MARK: Reading

    private func getRow(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        try principal.require("read")
        let schema = try schema(context.parameters.decoded("dataset"))
        let key = RowKey(
            dataset: schema.dataset,
            values: try DataBody(schema: schema).key(context.parameters.getCatchAll()))
        try check(account(of: key, in: schema), key, principal)
        let found: StampedRow?
        do throws(StoreError) {
            found = try await history.row(key)
        } catch {
            throw APIError(error)
        }
        guard let found, found.row.account(in: schema) == account(schema, principal) else {
            throw APIError(Refusal.unknownRow(key.description))
        }
        if try EntityTag.isKnown(found.sequence, to: request) {
            return Response(
                status: .notModified, headers: [.eTag: EntityTag.text(found.sequence)])
        }
        return Self.response(found, schema)
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        try principal.require("read")
        let schema = try schema(context.parameters.decoded("dataset"))
        let named = request.query.text("account_id")
        if schema.accountField == nil, named != nil {
            throw APIError.badRequest("the rows of \(schema.dataset) belong to no account")
        }
        if let named, named != principal.accountID {
            throw APIError.notFound("there is no account '\(named)' for this token")
        }
        let page = try Page(request)
        do throws(StoreError) {
            let (total, rows) = try await history.page(
                of: schema, account: schema.accountField.map { _ in principal.accountID },
                limit: page.pageSize, offset: page.offset)
            return page.response(total: total, rows) { $0.row($1, schema) }
        } catch {
            throw APIError(error)
        }
    }

    private static func response(
        _ stamped: StampedRow, _ schema: Schema, _ status: HTTPResponse.Status = .ok,
        message: String = "ok"
    ) -> Response {
        var response = Envelope.success(status, message: message) { $0.row(stamped, schema) }
        response.headers[.eTag] = EntityTag.text(stamped.sequence)
        return response
    }

    // MARK: Writing

    private func putRow(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let schema = try schema(context.parameters.decoded("dataset"))
        try requireWriting(schema, principal)
        let body = DataBody(schema: schema)
        let key = try body.key(context.parameters.getCatchAll())
        let rowKey = RowKey(dataset: schema.dataset, values: key)
        try check(account(of: rowKey, in: schema), rowKey, principal)
        let condition = try EntityTag.condition(request)
        let row = try await body.row(key, request)
        try check(row.account(in: schema), rowKey, principal)
        let receipt = try await perform { state, now throws(Refusal) in
            try state.putRow(row, if: condition, at: now, by: principal.accountID)
        }
        let behind = try await deliver(receipt, schema.dataset, principal)
        let isNew = receipt.changes.first?.before == nil
        return Self.response(
            StampedRow(row: row, sequence: receipt.sequence), schema,
            behind.isEmpty ? (isNew ? .created : .ok) : .accepted, message: Self.words(behind))
    }

    private func deleteRow(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let schema = try schema(context.parameters.decoded("dataset"))
        try requireWriting(schema, principal)
        let key = RowKey(
            dataset: schema.dataset,
            values: try DataBody(schema: schema).key(context.parameters.getCatchAll()))
        try check(account(of: key, in: schema), key, principal)
        let condition = try EntityTag.condition(request)
        let account = account(schema, principal)
        let receipt = try await perform { state, now throws(Refusal) in
            try state.deleteRow(
                key, of: account, if: condition, at: now, by: principal.accountID)
        }
        let behind = try await deliver(receipt, schema.dataset, principal)
        return Self.counted(receipt, behind)
    }

    private func writeBatch(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let words = context.parameters.decoded("dataset")
        let suffix = ":batch"
        guard words.hasSuffix(suffix) else {
            throw APIError.notFound(
                "a row is written with PUT …/data/DATASET/KEY, many with POST …/data/DATASET:batch")
        }
        let schema = try schema(String(words.dropLast(suffix.count)))
        try requireWriting(schema, principal)
        guard case .none = try EntityTag.condition(request) else {
            throw APIError.badRequest("a batch has no If-Match: its rows have different sequences")
        }
        let batch = try await DataBody(schema: schema).batch(request)
        for row in batch.put {
            try check(row.account(in: schema), row.key(in: schema), principal)
        }
        for key in batch.delete { try check(account(of: key, in: schema), key, principal) }
        let account = account(schema, principal)
        let receipt = try await perform { state, now throws(Refusal) in
            try state.writeRows(
                put: batch.put, delete: batch.delete, of: account, at: now,
                by: principal.accountID)
        }
        let behind = try await deliver(receipt, schema.dataset, principal)
        return Self.counted(receipt, behind)
    }

    private func perform(
        _ decide:
            @escaping @Sendable (inout TradingState, Timestamp) throws(Refusal) -> DataReceipt
    ) async throws(APIError) -> DataReceipt {
        do {
            return try await core.engine.performBounded(decide)
        } catch {
            throw APIError(error)
        }
    }

    private static func counted(_ receipt: DataReceipt, _ behind: [String]) -> Response {
        Envelope.success(behind.isEmpty ? .ok : .accepted, message: words(behind)) { json in
            json.object { json in
                json.member("put", receipt.changes.count { $0.after != nil })
                json.member("deleted", receipt.changes.count { $0.after == nil })
                json.member("opsd_sequence", Int(receipt.sequence.rawValue))
            }
        }
    }

    // MARK: Stores

    /// Keeps the promise of the dataset's route.
    /// - Returns: the stores that are behind. Throws when the write was taken back.
    private func deliver(
        _ receipt: DataReceipt, _ dataset: String, _ principal: Principal
    ) async throws(APIError) -> [String] {
        guard !receipt.changes.isEmpty, let delivery, let promise = delivery.promise(for: dataset)
        else { return [] }
        let missing = await delivery.missing(receipt.sequence, of: dataset, in: promise)
        switch DataOutcome(promise, missing: missing) {
        case .done: return []
        case .behind(let stores): return stores
        case .rollBack(let stores): throw await takeBack(receipt, stores, principal)
        }
    }

    private func takeBack(
        _ receipt: DataReceipt, _ stores: [String], _ principal: Principal
    ) async -> APIError {
        let names = stores.joined(separator: ", ")
        do {
            // Into the journal's reserve where the disk is full: the write itself is there already.
            let count = try await core.engine.performControl { state, now throws(Refusal) in
                state.takeBack(receipt, at: now, by: principal.accountID)
            }
            let kept = receipt.changes.count - count
            let rest =
                kept == 0 ? "" : "; \(kept) of its rows were written again meanwhile and stay"
            return APIError(
                status: .serviceUnavailable,
                message: "rolled back: the store \(names) did not take the write\(rest)",
                retryAfterSeconds: 5)
        } catch {
            return APIError(
                status: .internalServerError,
                message:
                    "the store \(names) did not take the write, and it could not be rolled back: "
                    + "\(error). Read the row before you try again")
        }
    }

    private static func words(_ behind: [String]) -> String {
        behind.isEmpty
            ? "ok"
            : "durable; the store \(behind.joined(separator: ", ")) is behind and will get it"
    }
}

extension JSONWriter {
    /// A row of a declared dataset: its fields, and the entry that wrote it.
    fileprivate mutating func row(_ stamped: StampedRow, _ schema: Schema) {
        object { json in
            for (field, value) in zip(schema.fields, stamped.row.values) {
                json.name(field.name)
                json.value(value)
            }
            json.member("opsd_sequence", Int(stamped.sequence.rawValue))
        }
    }
}
