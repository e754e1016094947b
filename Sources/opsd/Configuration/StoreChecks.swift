import StrictYAML

/// What must hold between stores: each has a place of its own, which neither another store nor opsd
/// itself writes to.
struct StoreChecks {
    let stores: [PlacedStore]
    let data: DataLayout
    let findings: Findings

    func run() {
        checkURLs()
        checkPaths()
    }

    private func checkURLs() {
        var seen: [String: PlacedStore] = [:]
        for store in stores {
            guard let url = store.url else { continue }
            if let first = seen[url.identity] {
                refuse(store, "url: store \(store.name) is the database of \(words(for: first))")
            }
            seen[url.identity] = seen[url.identity] ?? store
        }
    }

    private func checkPaths() {
        var byPath: [String: PlacedStore] = [:]
        for store in stores {
            guard let path = store.settings?.path else { continue }
            if let first = byPath[path] {
                refuse(store, "path: store \(store.name) has the path of \(words(for: first))")
            } else {
                byPath[path] = store
            }
        }
        for store in stores {
            guard let path = store.settings?.path else { continue }
            checkOwn(path, store)
            for folder in Self.folders(above: path) {
                guard let outer = byPath[folder] else { continue }
                refuse(store, "path: store \(store.name) lies within \(words(for: outer))")
            }
        }
    }

    /// What opsd writes by itself in the data directory is nobody else's.
    private func checkOwn(_ path: String, _ store: PlacedStore) {
        let own = [
            data.journal, data.checkpoint, data.controlState, data.paperBroker,
            data.root + "/run", data.root + "/log",
        ]
        if data.root == path || Self.folders(above: data.root).contains(path) {
            refuse(store, "path: store \(store.name) would hold the whole data directory")
        } else if own.contains(path) || Self.folders(above: path).contains(where: own.contains) {
            refuse(store, "path: store \(store.name) lies where opsd keeps what is its own")
        }
    }

    private func refuse(_ store: PlacedStore, _ problem: String) {
        let example = store.kind.map(StoreReader.example(of:)) ?? ""
        findings.error(
            store.location ?? store.place, problem, "give it one of its own, as in \(example)")
    }

    private func words(for store: PlacedStore) -> String {
        "store \(store.name) (line \(store.place.line))"
    }

    private static func folders(above path: String) -> [String] {
        var folders: [String] = []
        var rest = AbsolutePath.folder(of: path)
        while rest != "/", rest != "." {
            folders.append(rest)
            rest = AbsolutePath.folder(of: rest)
        }
        return folders + ["/"]
    }
}
