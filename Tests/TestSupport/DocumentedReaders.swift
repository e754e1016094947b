/// The readers of the documents' programs, word for word, in Python over redis-py.
public enum DocumentedReaders {
    public static let redis = """
        import asyncio, json, sys
        import redis.asyncio as redis

        class RedisDataStructures:
            def __init__(self, redis_client):
                self.redis = redis_client

            async def get_account_balance(self, account_id):
                key = f"acc:balance:{account_id}"
                data = await self.redis.hgetall(key)
                if not data:
                    return None

                return {
                    "cash": float(data["cash"]),
                    "buying_power": float(data["buying_power"]),
                    "portfolio_value": float(data["portfolio_value"]),
                    "updated_at": data["updated_at"]
                }

            async def get_positions(self, account_id):
                key = f"acc:positions:{account_id}"
                data = await self.redis.hgetall(key)

                positions = []
                for symbol, pos_json in data.items():
                    pos_data = json.loads(pos_json)
                    pos_data["symbol"] = symbol
                    positions.append(pos_data)

                return positions

            async def get_stock_quote(self, symbol):
                key = f"market:quote:stock:{symbol}"
                data = await self.redis.hgetall(key)
                if not data:
                    return None

                return {
                    "symbol": symbol,
                    "bid_price": float(data["bid_price"]) if data["bid_price"] != "None" else None,
                    "ask_price": float(data["ask_price"]) if data["ask_price"] != "None" else None,
                    "last_price": float(data["last_price"]) if data["last_price"] != "None" else None,
                    "volume": int(data.get("volume", 0)),
                    "timestamp": data["timestamp"]
                }


        """
}
