// A denylist of revoked tokens, kept up to date from RabbitMQ. Java 17 or later, amqp-client 5, jackson-databind 2. See docs/verifiers.md.
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.rabbitmq.client.*;
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.*;
import java.util.*;
import java.util.concurrent.*;

public class Consumer {
    record Held(double cutoff, double until) {} // denies what was issued up to the cutoff
    record Beat(double arrived, JsonNode event) {}

    static final String[][] NAMES = {{"session", "sid"}, {"subject", "sub"}, {"client", "azp"}, {"client", "client_id"}, {"issuer", "iss"}};
    static final Map<String, String> MEMBER = Map.of("session", "sid", "subject", "sub", "client", "client_id", "issuer", "iss");
    static final Map<String, String> EXTRA = Map.of("subject", "subject_claims", "client", "client_claims");
    static final double[][] UNITS = {{1e11, 1}, {1e14, 1e3}, {1e17, 1e6}, {Double.POSITIVE_INFINITY, 1e9}}; // an exp from ten times that on
    static final List<String> ANY = List.of("any cutoff");
    static final ObjectMapper JSON = new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
        .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);

    final Map<List<String>, Held> denied = new HashMap<>();
    final Set<List<String>> extra = new HashSet<>();
    final Map<String, Long> read = new HashMap<>(); // the last number read of each publisher
    final Deque<Beat> waiting = new ArrayDeque<>(); // heartbeats that name more than that
    final boolean skipRefreshTokens;
    final double since; // what was published before that matters no more
    double heartbeat, clock;
    Object next;

    Consumer(double lifetime, boolean skipRefreshTokens) {
        this.skipRefreshTokens = skipRefreshTokens;
        since = now() - lifetime;
        next = new Date((long) (since - 600) * 1000); // clocks may differ
    }

    /** Reads until the connection ends. */
    void follow(String url) throws Exception {
        var factory = new ConnectionFactory();
        factory.setUri(url);
        factory.setAutomaticRecoveryEnabled(false);
        var ended = new CompletableFuture<String>();
        var connection = factory.newConnection();
        try {
            connection.addShutdownListener(cause -> ended.complete(cause.getMessage()));
            var channel = connection.createChannel();
            channel.addShutdownListener(cause -> ended.complete(cause.getMessage()));
            channel.basicQos(300);
            synchronized (this) { waiting.clear(); } // the last minute's heartbeats are read again, one of each worker among them
            var starts = new LinkedHashMap<String, Object>();
            starts.put("beats", new Date(System.currentTimeMillis() - 60_000));
            starts.put("log", next);
            for (var start : starts.entrySet()) {
                channel.basicConsume("auth.invalidations." + start.getKey(), false, Map.of("x-stream-offset", start.getValue()), (tag, delivery) -> {
                    try {
                        take(delivery);
                    } catch (RuntimeException error) {
                        ended.complete("a message was skipped: " + error);
                    }
                    long number = delivery.getEnvelope().getDeliveryTag();
                    if (number % 100 == 0) channel.basicAck(number, true);
                }, tag -> ended.complete("the stream is gone"));
            }
            System.err.println("lost the feed: " + ended.get());
        } finally {
            connection.abort(1000);
        }
    }

    synchronized void take(Delivery delivery) throws IOException {
        var headers = delivery.getProperties().getHeaders();
        if (!delivery.getEnvelope().getRoutingKey().equals("heartbeat")) next = (Long) headers.get("x-stream-offset") + 1;
        var event = JSON.readTree(delivery.getBody());
        var data = event.path("data");
        boolean isHeartbeat = event.path("type").asText().equals("auth.invalidation.heartbeat.v1");
        if (isHeartbeat) clock = Math.max(clock, seconds(event.get("time")));
        if (event.path("type").asText().equals("auth.invalidation.v1")) data.get("targets").forEach(this::deny);
        if (isHeartbeat && data.has("publisher")) waiting.add(new Beat(now(), event));
        if (headers.get("x-publisher") != null) read.merge(headers.get("x-publisher").toString(), ((Number) headers.get("x-sequence")).longValue(), Math::max);
        while (!waiting.isEmpty() && hasRead(waiting.peek().event().get("data"))) {
            heartbeat = Math.max(heartbeat, Math.min(seconds(waiting.poll().event().get("time")), now()));
        }
        if (delivery.getEnvelope().getDeliveryTag() % 10_000 == 0) denied.values().removeIf(held -> held.until() <= now());
        if (!waiting.isEmpty() && now() - waiting.peek().arrived() > 30) throw new IllegalStateException("what a heartbeat names did not come");
    }

    /** A heartbeat vouches once all is read that it, or one before it, names. */
    boolean hasRead(JsonNode beat) {
        return read.getOrDefault(beat.get("publisher").asText(), 0L) >= beat.get("sequence").asLong() || seconds(beat.get("published_at")) <= since;
    }

    void deny(JsonNode target) {
        var kind = target.get("kind").asText();
        var keys = new ArrayList<List<String>>();
        if (kind.equals("token")) {
            if (skipRefreshTokens && target.path("token_type_hint").asText().equals("refresh_token")) return;
            for (var name : List.of("token_sha256", "signed_sha256")) if (target.hasNonNull(name)) keys.add(key(name, target.get(name).asText()));
            if (target.hasNonNull("jti")) keys.add(key("jti", target.get("jti").asText(), target.has("iss") ? text(target.get("iss")) : "*")); // "*": an older worker
        } else {
            String name = target.get(MEMBER.get(kind)).asText(), iss = kind.equals("issuer") ? null : text(target.get("iss"));
            keys.addAll(List.of(key(kind, name, iss), key(kind, name, ""), ANY)); // "": not known
            for (var claim : target.path(EXTRA.getOrDefault(kind, ""))) {
                extra.add(key(kind, claim.asText()));
                keys.add(key(kind, claim.asText(), name, iss != null ? iss : text(target.get("claims_iss"))));
            }
        }
        var held = new Held(kind.equals("token") ? Double.POSITIVE_INFINITY : seconds(target.get("not_before")), seconds(target.get("expires_at")));
        for (var key : keys) denied.merge(key, held, (a, b) -> new Held(Math.max(a.cutoff(), b.cutoff()), Math.max(a.until(), b.until())));
    }

    /** Claims as claimsOf(token) returns them, or as the service knows them; null: unreadable. */
    synchronized String check(String token, JsonNode read) {
        JsonNode claims = read == null ? JSON.createObjectNode() : read;
        String signed = isJws(token) ? token.substring(0, token.lastIndexOf('.')) : "", iss = text(claims.get("iss"));
        var keys = new ArrayList<>(List.of(key("token_sha256", sha256(token)), key("signed_sha256", sha256(signed))));
        for (var whose : Arrays.asList(iss, "*")) keys.add(key("jti", text(claims.get("jti")), whose));
        for (var name : NAMES) for (var whose : Arrays.asList(null, iss == null ? "" : iss)) keys.add(key(name[0], text(claims.get(name[1])), whose));
        if (iss != null) for (var one : extra) keys.add(key(one.get(0), one.get(1), text(claims.get(one.get(1))), iss));
        if (read == null) keys.add(ANY);
        double at = now();
        Double iat = moment(claims.get("iat"), 1), exp = moment(claims.get("exp"), 10);
        double issued = iat == null || iat > Math.max(at, clock) + 300 ? 0 : iat; // an iat in the future says nothing
        if (exp != null && exp <= at) return "denied";
        for (var key : keys) {
            var held = denied.get(key);
            if (held != null && at < held.until() && issued <= held.cutoff()) return "denied";
        }
        return at - heartbeat < 3 ? "allowed" : "stale";
    }

    static List<String> key(String... parts) { return Arrays.asList(parts); }
    static double now() { return System.currentTimeMillis() / 1e3; }
    static double seconds(JsonNode text) { return OffsetDateTime.parse(text.asText()).toInstant().toEpochMilli() / 1e3; }
    static String sha256(String text) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
        } catch (java.security.NoSuchAlgorithmException error) { throw new IllegalStateException(error); }
    }
    static String text(JsonNode value) { // An integer counts as its decimal text.
        return value != null && (value.isTextual() || value.isIntegralNumber()) ? value.asText() : null;
    }
    static Double moment(JsonNode value, double wider) {
        if (value == null || !value.isNumber()) return null;
        double number = value.decimalValue().doubleValue();
        for (var unit : UNITS) if (Math.abs(number) < unit[0] * wider) return number / unit[1];
        return null;
    }
    static JsonNode decoded(String part) { // null: what Jackson does not take
        try {
            var bytes = Base64.getUrlDecoder().decode(part.replaceAll("=+$", "").replace('+', '-').replace('/', '_'));
            return JSON.readTree(new String(bytes, StandardCharsets.UTF_8).replaceFirst("^\uFEFF", ""));
        } catch (IOException | IllegalArgumentException error) { return null; }
    }
    static boolean isJws(String token) { // Three parts and an algorithm. Many JWEs, PASETOs and opaque tokens share their first parts.
        var parts = token.split("\\.", -1);
        var alg = parts.length == 3 && decoded(parts[0]) instanceof ObjectNode header ? header.get("alg") : null;
        return alg != null && alg.isTextual() && !alg.asText().equals("none") && !parts[1].isEmpty() && !parts[2].isEmpty();
    }
    static JsonNode claimsOf(String token) { // null: a JWT whose claims cannot be read, which any cutoff may mean.
        var parts = token.split("\\.", -1);
        if (parts.length == 3 && decoded(parts[1]) instanceof ObjectNode claims) return claims;
        return isJws(token) ? null : JSON.createObjectNode();
    }

    public static void main(String[] arguments) throws IOException {
        var environment = System.getenv();
        double days = Double.parseDouble(environment.getOrDefault("MAX_TOKEN_LIFETIME_DAYS", "30"));
        var denylist = new Consumer(days * 86400, "true".equals(environment.get("SKIP_REFRESH_TOKENS")));
        var follower = new Thread(() -> {
            while (true) {
                try {
                    denylist.follow(environment.get("AMQP_URL"));
                } catch (Exception error) { System.err.println("lost the feed: " + error); }
                try { Thread.sleep(1000); } catch (InterruptedException stop) { return; }
            }
        });
        follower.setDaemon(true);
        follower.start();
        var tokens = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String token; (token = tokens.readLine()) != null; ) System.out.println(denylist.check(token.strip(), claimsOf(token.strip())));
        System.exit(0);
    }
}
