internal import Crypto

/// What an account is called in the broker's file and in its answers: made from the key that the
/// account is reached with, because the key itself is half of a credential and is kept nowhere.
enum PaperAccountID {
    static func of(keyID: String) -> String {
        let digest = SHA256.hash(data: Array("opsd paper broker account \(keyID)".utf8))
        return "PA"
            + digest.prefix(16).map { byte in
                let digits = String(byte, radix: 16, uppercase: true)
                return digits.count == 1 ? "0" + digits : digits
            }.joined()
    }
}
