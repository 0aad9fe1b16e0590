// A denylist of revoked tokens, kept up to date from RabbitMQ. .NET 8, RabbitMQ.Client 7. See docs/verifiers.md.
// NOT TRIED: no test compiles or runs this file. It follows consumer.mjs line by line, which tests run.
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

Func<string, string?> variable = Environment.GetEnvironmentVariable;
var days = double.Parse(variable("MAX_TOKEN_LIFETIME_DAYS") ?? "30");
var denylist = new Denylist(variable("AMQP_URL")!, days * 86400, variable("SKIP_REFRESH_TOKENS") == "true");
_ = denylist.Run();
while (Console.ReadLine() is { } line) Console.WriteLine(denylist.Check(line.Trim(), Denylist.ClaimsOf(line.Trim())));

class Denylist(string url, double lifetime, bool skipRefreshTokens)
{
    static readonly (string Kind, string Claim)[] Names = [("session", "sid"), ("subject", "sub"), ("client", "azp"), ("client", "client_id"), ("issuer", "iss")];
    static readonly Dictionary<string, string> Member = new() { ["session"] = "sid", ["subject"] = "sub", ["client"] = "client_id", ["issuer"] = "iss" };
    static readonly (double Below, double Unit)[] Units = [(1e11, 1), (1e14, 1e3), (1e17, 1e6), (double.PositiveInfinity, 1e9)]; // an exp from ten times that on
    static readonly JsonElement Empty = JsonDocument.Parse("{}").RootElement;
    const string Any = "any cutoff";

    readonly Dictionary<string, (double Cutoff, double Until)> denied = new();
    readonly HashSet<(string Kind, string Claim)> extra = new();
    readonly Dictionary<string, long> read = new(); // the last number read of each publisher
    readonly Queue<(double Arrived, JsonElement Event)> waiting = new(); // heartbeats that name more than that
    readonly double since = Now() - lifetime; // what was published before that matters no more
    object next = new AmqpTimestamp((long)(Now() - lifetime - 600)); // clocks may differ
    double heartbeat, clock;

    public async Task Run()
    {
        while (true)
        {
            try { await Follow(); }
            catch (Exception error) { Console.Error.WriteLine($"lost the feed: {error.Message}"); }
            await Task.Delay(1000);
        }
    }
    async Task Follow() // until the connection ends
    {
        var factory = new ConnectionFactory { Uri = new Uri(url), AutomaticRecoveryEnabled = false };
        await using var connection = await factory.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        var ended = new TaskCompletionSource();
        channel.ChannelShutdownAsync += (_, cause) => { ended.TrySetException(new Exception(cause.ReplyText)); return Task.CompletedTask; };
        await channel.BasicQosAsync(0, 300, false);
        lock (denied) waiting.Clear(); // the last minute's heartbeats are read again, one of each worker that lives among them
        foreach (var (stream, start) in new[] { ("beats", new AmqpTimestamp((long)Now() - 60)), ("log", next) })
        {
            var consumer = new AsyncEventingBasicConsumer(channel);
            consumer.UnregisteredAsync += (_, _) => { ended.TrySetException(new Exception("the stream is gone")); return Task.CompletedTask; };
            consumer.ReceivedAsync += async (_, delivery) =>
            {
                try { lock (denied) Take(delivery); }
                catch (Exception error) { ended.TrySetException(error); }
                if (delivery.DeliveryTag % 100 == 0) await channel.BasicAckAsync(delivery.DeliveryTag, true);
            };
            await channel.BasicConsumeAsync($"auth.invalidations.{stream}", false, "", false, false, new Dictionary<string, object?> { ["x-stream-offset"] = start }, consumer);
        }
        await ended.Task;
    }
    void Take(BasicDeliverEventArgs delivery)
    {
        var headers = delivery.BasicProperties.Headers!;
        if (delivery.RoutingKey != "heartbeat") next = Convert.ToInt64(headers["x-stream-offset"]) + 1;
        var message = JsonDocument.Parse(delivery.Body.ToArray()).RootElement;
        var (type, data) = (message.GetProperty("type").GetString(), message.GetProperty("data"));
        if (type == "auth.invalidation.heartbeat.v1") clock = Math.Max(clock, Seconds(message.GetProperty("time")));
        if (type == "auth.invalidation.v1") foreach (var target in data.GetProperty("targets").EnumerateArray()) Deny(target);
        if (type == "auth.invalidation.heartbeat.v1" && data.TryGetProperty("publisher", out _)) waiting.Enqueue((Now(), message));
        if (headers.TryGetValue("x-publisher", out var publisher))
        {
            var name = Encoding.UTF8.GetString((byte[])publisher!);
            read[name] = Math.Max(read.GetValueOrDefault(name), Convert.ToInt64(headers["x-sequence"]));
        }
        while (waiting.TryPeek(out var beat) && HasRead(beat.Event.GetProperty("data")))
            heartbeat = Math.Max(heartbeat, Math.Min(Seconds(waiting.Dequeue().Event.GetProperty("time")), Now()));
        if (delivery.DeliveryTag % 10_000 == 0)
            foreach (var key in denied.Where(held => held.Value.Until <= Now()).Select(held => held.Key).ToList()) denied.Remove(key);
        if (waiting.TryPeek(out var first) && Now() - first.Arrived > 30) throw new Exception("what a heartbeat names did not come");
    }
    // A heartbeat vouches once all is read that it, or one before it, names.
    bool HasRead(JsonElement beat) => read.GetValueOrDefault(beat.GetProperty("publisher").GetString()!) >= beat.GetProperty("sequence").GetInt64()
        || Seconds(beat.GetProperty("published_at")) <= since;
    void Deny(JsonElement target)
    {
        var (kind, keys) = (Text(target, "kind")!, new List<string>());
        if (kind == "token")
        {
            if (skipRefreshTokens && Text(target, "token_type_hint") == "refresh_token") return;
            foreach (var name in new[] { "token_sha256", "signed_sha256" }) if (Text(target, name) is { } digest) keys.Add(Key(name, digest));
            if (Text(target, "jti") is { } jti) keys.Add(Key("jti", jti, target.TryGetProperty("iss", out _) ? Text(target, "iss") : "*")); // "*": an older worker
        }
        else
        {
            var (name, iss) = (Text(target, Member[kind]), kind == "issuer" ? null : Text(target, "iss"));
            keys.AddRange([Key(kind, name, iss), Key(kind, name, ""), Any]); // "": not known
            if (target.TryGetProperty($"{kind}_claims", out var claims))
                foreach (var claim in claims.EnumerateArray().Select(claim => claim.GetString()!))
                {
                    extra.Add((kind, claim));
                    keys.Add(Key(kind, claim, name, iss ?? Text(target, "claims_iss")));
                }
        }
        var (cutoff, until) = (kind == "token" ? double.PositiveInfinity : Seconds(target.GetProperty("not_before")), Seconds(target.GetProperty("expires_at")));
        foreach (var key in keys)
        {
            var before = denied.GetValueOrDefault(key);
            denied[key] = (Math.Max(before.Cutoff, cutoff), Math.Max(before.Until, until));
        }
    }
    // Claims as ClaimsOf(token) returns them, or as the service knows them; null: unreadable.
    public string Check(string token, JsonElement? given)
    {
        lock (denied)
        {
            var (claims, at) = (given ?? Empty, Now());
            var (signed, iss) = (IsJws(token) ? token[..token.LastIndexOf('.')] : "", Text(claims, "iss"));
            List<string> keys = [Key("token_sha256", Sha256(token)), Key("signed_sha256", Sha256(signed))];
            keys.AddRange([Key("jti", Text(claims, "jti"), iss), Key("jti", Text(claims, "jti"), "*")]);
            foreach (var (kind, name) in Names) keys.AddRange([Key(kind, Text(claims, name), null), Key(kind, Text(claims, name), iss ?? "")]);
            if (iss is not null) keys.AddRange(extra.Select(one => Key(one.Kind, one.Claim, Text(claims, one.Claim), iss)));
            if (given is null) keys.Add(Any);
            var (iat, exp) = (Moment(claims, "iat", 1), Moment(claims, "exp", 10));
            if (iat is null || iat > Math.Max(at, clock) + 300) iat = 0; // an iat in the future says nothing
            var isHit = keys.Any(key => denied.TryGetValue(key, out var held) && at < held.Until && iat <= held.Cutoff);
            return exp <= at || isHit ? "denied" : at - heartbeat < 3 ? "allowed" : "stale";
        }
    }
    static string Key(params string?[] parts) => JsonSerializer.Serialize(parts);
    static double Now() => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1e3;
    static double Seconds(JsonElement time) => time.GetDateTimeOffset().ToUnixTimeMilliseconds() / 1e3;
    static string Sha256(string text) => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(text))).ToLowerInvariant();
    static string? Text(JsonElement claims, string name) => !claims.TryGetProperty(name, out var value) ? null : value.ValueKind switch
    {
        JsonValueKind.String => value.GetString(),
        JsonValueKind.Number when !value.GetRawText().AsSpan().ContainsAny(".eE") => value.GetRawText(), // an integer counts as its decimal text
        _ => null,
    };
    static double? Moment(JsonElement claims, string name, double wider)
    {
        if (!claims.TryGetProperty(name, out var value) || value.ValueKind != JsonValueKind.Number) return null;
        if (!value.TryGetDouble(out var number) || !double.IsFinite(number)) return null;
        return number / Units.First(unit => Math.Abs(number) < unit.Below * wider).Unit;
    }
    static JsonElement? Decoded(string part) // null: no JSON object
    {
        try
        {
            var text = part.TrimEnd('=').Replace('-', '+').Replace('_', '/');
            var bytes = Convert.FromBase64String(text.PadRight((text.Length + 3) / 4 * 4, '='));
            var value = JsonDocument.Parse(Encoding.UTF8.GetString(bytes).TrimStart('\uFEFF')).RootElement;
            return value.ValueKind == JsonValueKind.Object ? value : null;
        }
        catch (Exception error) when (error is FormatException or JsonException) { return null; }
    }
    static bool IsJws(string token) // Three parts and an algorithm. Many JWEs, PASETOs and opaque tokens share their first parts.
    {
        var parts = token.Split('.');
        return parts.Length == 3 && parts.All(part => part != "") && Decoded(parts[0]) is { } header
            && header.TryGetProperty("alg", out var alg) && alg.ValueKind == JsonValueKind.String && alg.GetString() != "none";
    }
    public static JsonElement? ClaimsOf(string token) // null: a JWT whose claims cannot be read, which any cutoff may mean
    {
        var parts = token.Split('.');
        return (parts.Length == 3 ? Decoded(parts[1]) : null) ?? (IsJws(token) ? null : (JsonElement?)Empty);
    }
}
