internal import Ledger

/// A query as SQL: values as parameters only, names quoted and known.
struct PostgresQuery {
    let sql: String
    let parameters: PostgresParameters
}

extension PostgresTable {
    func select(_ query: RowQuery) throws(StoreError) -> PostgresQuery {
        var parameters = PostgresParameters()
        let condition = try condition(query, &parameters)
        let descending = query.order?.descending ?? false
        var order = (0..<schema.keyCount).map { ordering($0, descending) }
        if let wanted = query.order {
            let index = try place(wanted.field)
            guard schema.fields[index].type != .json else {
                throw .refused(
                    store: schema.dataset, problem: "'\(wanted.field)' is JSON, which has no order")
            }
            // A key field that is named stands once.
            order.removeAll { $0 == ordering(index, descending) }
            order.insert(ordering(index, descending), at: 0)
        }
        parameters.append(Int64(query.limit))
        parameters.append(Int64(query.offset))
        let sql = """
            \(selection)\(condition) ORDER BY \(order.joined(separator: ", ")) \
            LIMIT $\(parameters.count - 1) OFFSET $\(parameters.count)
            """
        return PostgresQuery(sql: sql, parameters: parameters)
    }

    func count(_ query: RowQuery) throws(StoreError) -> PostgresQuery {
        var parameters = PostgresParameters()
        let condition = try condition(query, &parameters)
        return PostgresQuery(
            sql: "SELECT count(*) FROM \(name)\(condition)", parameters: parameters)
    }

    /// Nulls come first, as in every store. The index of a column that has none serves the order.
    private func ordering(_ index: Int, _ descending: Bool) -> String {
        let nulls =
            schema.fields[index].isOptional ? (descending ? " NULLS LAST" : " NULLS FIRST") : ""
        return comparable(index) + (descending ? " DESC" : "") + nulls
    }

    /// A column as it is compared by size: texts by their bytes, whatever the database thinks.
    private func comparable(_ index: Int) -> String {
        schema.fields[index].type == .text ? column(index) + " COLLATE \"C\"" : column(index)
    }

    private func condition(
        _ query: RowQuery, _ parameters: inout PostgresParameters
    ) throws(StoreError) -> String {
        var terms: [String] = []
        for (field, values) in query.matching {
            terms.append(try matching(field, values, &parameters))
        }
        for field in query.present { terms.append("\(column(try place(field))) IS NOT NULL") }
        if let range = query.range {
            let index = try place(range.field)
            for (sign, value) in [(">=", range.from), ("<", range.before)] {
                guard let value else { continue }
                try append(value, of: schema.fields[index], to: &parameters)
                terms.append("\(comparable(index)) \(sign) $\(parameters.count)")
            }
        }
        if let key = query.afterKey {
            var marks: [String] = []
            for (value, field) in zip(key, schema.fields) {
                try append(value, of: field, to: &parameters)
                marks.append("$\(parameters.count)")
            }
            let columns = (0..<schema.keyCount).map { comparable($0) }
            terms.append(
                "(\(columns.joined(separator: ", "))) > (\(marks.joined(separator: ", ")))")
        }
        return terms.isEmpty ? "" : " WHERE " + terms.joined(separator: " AND ")
    }

    private func matching(
        _ name: String, _ values: [Value], _ parameters: inout PostgresParameters
    ) throws(StoreError) -> String {
        let index = try place(name)
        let field = schema.fields[index]
        var terms: [String] = []
        var marks: [String] = []
        for value in values where value != .null {
            try append(value, of: field, to: &parameters)
            marks.append("$\(parameters.count)")
        }
        if marks.count == 1 {
            terms.append("\(column(index)) = \(marks[0])")
        } else if !marks.isEmpty {
            terms.append("\(column(index)) IN (\(marks.joined(separator: ", ")))")
        }
        if marks.count < values.count { terms.append("\(column(index)) IS NULL") }
        return terms.isEmpty ? "FALSE" : "(\(terms.joined(separator: " OR ")))"
    }

    private func place(_ field: String) throws(StoreError) -> Int {
        guard let index = schema.index(of: field) else {
            throw .refused(store: schema.dataset, problem: "there is no field '\(field)'")
        }
        return index
    }
}
