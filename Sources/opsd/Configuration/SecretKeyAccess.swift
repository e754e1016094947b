import StrictYAML

/// The key with which one configuration's values are decrypted, or why there is none.
///
/// It is found before anything else is read, because any other value may be encrypted. So the two
/// values that say where it lies, `data_dir` and `secrets.key_file`, cannot be encrypted themselves.
struct SecretKeyAccess: Sendable {
    let path: String
    let result: Result<SecretKey, SecretKeyError>

    /// Nothing is there and nothing is asked for.
    static let none = SecretKeyAccess(
        path: "", result: .failure(SecretKeyError("there is no key", "", isMissing: true)))

    static func of(
        _ document: YAMLDocument, environment: @escaping @Sendable (String) -> String?,
        folder: String
    ) -> SecretKeyAccess {
        let expansion = Expansion(environment: environment, folder: folder)
        var keyFile: String?
        var dataDirectory: String?
        // What is wrong is found again, and then said, when the whole file is read.
        _ = document.root(findings: Findings(), expansion: expansion).mapping { top -> Void? in
            dataDirectory = readPath(top.optional("data_dir"))
            _ = top.optional("secrets")?.mapping { item -> Void? in
                keyFile = readPath(item.optional("key_file"))
                return ()
            }
            return ()
        }
        let path =
            keyFile ?? (dataDirectory ?? AbsolutePath.of("data", in: folder)) + "/secret.key"
        do {
            return SecretKeyAccess(path: path, result: .success(try SecretKey.load(path)))
        } catch {
            return SecretKeyAccess(path: path, result: .failure(error))
        }
    }

    /// One of the paths that say where the key is.
    static func readPath(_ value: YAMLValue?) -> String? {
        guard let value else { return nil }
        if value.shown.hasPrefix(Expansion.encryptedPrefix) {
            value.refuse(
                "\(value.name) is encrypted, and it says where the key is", "write it as it stands")
            return nil
        }
        return AbsolutePath.read(value)
    }

    var error: SecretKeyError? {
        if case .failure(let error) = result { return error }
        return nil
    }

    var decrypt: Expansion.Decrypt {
        { [result] text throws(DecryptionFailure) in
            switch result {
            case .success(let key): return try key.decrypt(text)
            case .failure(let error):
                throw DecryptionFailure(
                    problem: "is encrypted, and its key is not at hand: \(error.problem)",
                    remedy: error.remedy)
            }
        }
    }
}
