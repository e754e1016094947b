import Crypto
import Foundation
import Ledger
import StrictYAML
import Verify

/// A certificate as it lies in a file: a line with the statement, and a line with the signature of the first
/// line's bytes, so that nobody has to write the statement again to check it.
///
///     {"checksum":"…","copies":[…],…}
///     {"algorithm":"ed25519","public_key":"…","signature":"…"}
struct SignedCertificate {
    let certificate: Certificate
    /// Whose signature it is; base64.
    let publicKey: String
    /// Whether the statement is the one that was signed.
    let isIntact: Bool

    private struct Seal: Codable {
        let algorithm: String
        let public_key: String
        let signature: String
    }

    private static let algorithm = "ed25519"
    private static let bytesMax = 64 << 20

    /// What is signed besides the line: a signature of it means nothing anywhere else.
    private static func signed(_ line: Data) -> Data { Data("opsd certificate 1\n".utf8) + line }

    /// - Throws: bad input where the file cannot be written.
    static func write(
        _ certificate: Certificate, to path: String, with key: CertificateKey
    ) throws(CommandFailure) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            let line = try encoder.encode(certificate)
            let seal = Seal(
                algorithm: algorithm, public_key: key.publicKey,
                signature: try key.signature(of: signed(line)))
            let text =
                String(decoding: line, as: UTF8.self) + "\n"
                + String(decoding: try encoder.encode(seal), as: UTF8.self) + "\n"
            try PrivateFile.replace(path, text)
        } catch {
            throw CommandFailure(.badInput, "the certificate cannot be written: \(error)")
        }
    }

    /// - Throws: bad input for what is no certificate.
    init(reading path: String) throws(CommandFailure) {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        guard let size = attributes?[.size] as? Int, size <= Self.bytesMax,
            let bytes = FileManager.default.contents(atPath: path)
        else { throw CommandFailure(.badInput, "\(path) cannot be read as a certificate") }
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.count == 3, lines[2].isEmpty,
            let certificate = try? JSONDecoder().decode(Certificate.self, from: Data(lines[0])),
            let seal = try? JSONDecoder().decode(Seal.self, from: Data(lines[1])),
            certificate.version == Certificate.version, seal.algorithm == Self.algorithm
        else {
            throw CommandFailure(
                .badInput,
                "\(path) is no certificate of this version of opsd; "
                    + "'opsd verify --certificate FILE' writes one")
        }
        self.certificate = certificate
        publicKey = seal.public_key
        isIntact = CertificateKey.isValid(
            seal.signature, of: Self.signed(Data(lines[0])), by: seal.public_key)
    }
}

/// The key that certificates of this data directory are signed with. It is made when it is needed first, and
/// never leaves its file.
struct CertificateKey {
    private let key: Curve25519.Signing.PrivateKey

    var publicKey: String { key.publicKey.rawRepresentation.base64EncodedString() }

    init(_ layout: DataLayout) throws(CommandFailure) {
        let path = layout.certificateKey
        do {
            // In the form of the other key files; somebody else may have made it meanwhile.
            try PrivateFile.create(path, SecretKey.newFileText())
            self = try Self.read(path)
        } catch {
            throw CommandFailure(.refused, "\(error)")
        }
    }

    /// Nil when there is none yet.
    static func existing(_ layout: DataLayout) throws(CommandFailure) -> CertificateKey? {
        guard FileManager.default.fileExists(atPath: layout.certificateKey) else { return nil }
        do {
            return try read(layout.certificateKey)
        } catch {
            throw CommandFailure(.refused, "\(error)")
        }
    }

    private static func read(_ path: String) throws(SecretKeyError) -> CertificateKey {
        let bytes = try SecretKey.load(path).bytes
        guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: bytes) else {
            throw SecretKeyError("\(path) holds no key to sign with", "move it away")
        }
        return CertificateKey(key: key)
    }

    private init(key: Curve25519.Signing.PrivateKey) {
        self.key = key
    }

    func signature(of bytes: Data) throws -> String {
        try key.signature(for: bytes).base64EncodedString()
    }

    static func isValid(_ signature: String, of bytes: Data, by publicKey: String) -> Bool {
        guard let signature = Data(base64Encoded: signature),
            let raw = Data(base64Encoded: publicKey),
            let key = try? Curve25519.Signing.PublicKey(rawRepresentation: raw)
        else { return false }
        return key.isValidSignature(signature, for: bytes)
    }
}
