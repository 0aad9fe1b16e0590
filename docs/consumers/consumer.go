// A denylist of revoked tokens, kept up to date from RabbitMQ. Go 1.19 or later, amqp091-go. See docs/verifiers.md.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

type object = map[string]any
type held struct{ cutoff, until float64 } // denies what was issued up to the cutoff
type beat struct {
	arrived, at float64
	data        object
}

var (
	names  = [][2]string{{"session", "sid"}, {"subject", "sub"}, {"client", "azp"}, {"client", "client_id"}, {"issuer", "iss"}}
	member = map[string]string{"session": "sid", "subject": "sub", "client": "client_id", "issuer": "iss"}
	extras = map[string]string{"subject": "subject_claims", "client": "client_claims"}
	units  = [][2]float64{{1e11, 1}, {1e14, 1e3}, {1e17, 1e6}, {math.Inf(1), 1e9}} // an exp from ten times that on
)

const anyCutoff = "any cutoff"

func key(parts ...any) string { return fmt.Sprintf("%q", parts) } // nil is not ""
func now() float64            { return float64(time.Now().UnixNano()) / 1e9 }
func seconds(text any) float64 {
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(text))
	if err != nil {
		panic(err)
	}
	return float64(at.UnixNano()) / 1e9
}

type denylist struct {
	lock             sync.Mutex
	denied           map[string]held
	extra            map[[2]string]bool
	read             map[string]int64 // the last number read of each publisher
	waiting          []beat           // heartbeats that name more than that
	beaten, clock    float64
	since            float64 // what was published before that matters no more
	next             any     // where the log is read from
	skipRefreshToken bool
}

// follow reads until the connection ends.
func (d *denylist) follow(url string) error {
	connection, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	if err := channel.Qos(300, 0, false); err != nil {
		return err
	}
	d.waiting = nil // the last minute's heartbeats are read again, one of each worker that lives among them
	deliveries := make(chan *amqp.Delivery)
	ended := make(chan struct{})
	defer close(ended)
	for stream, start := range map[string]any{"beats": time.Now().Add(-time.Minute), "log": d.next} {
		arguments := amqp.Table{"x-stream-offset": start}
		stream, err := channel.Consume("auth.invalidations."+stream, "", false, false, false, false, arguments)
		if err != nil {
			return err
		}
		go func() {
			for open := true; open; {
				var delivery amqp.Delivery
				found := &delivery
				if delivery, open = <-stream; !open {
					found = nil
				}
				select {
				case deliveries <- found:
				case <-ended:
					return
				}
			}
		}()
	}
	for delivery := range deliveries {
		if delivery == nil {
			return errors.New("the stream or the connection is gone")
		}
		if err := d.take(delivery); err != nil {
			return err
		}
		if delivery.DeliveryTag%100 == 0 {
			if err := delivery.Ack(true); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *denylist) take(delivery *amqp.Delivery) (err error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("a message was skipped: %v", reason)
		}
	}()
	if delivery.RoutingKey != "heartbeat" {
		d.next = delivery.Headers["x-stream-offset"].(int64) + 1
	}
	event, _ := decode(delivery.Body).(object)
	data, _ := event["data"].(object)
	switch event["type"] {
	case "auth.invalidation.v1":
		for _, target := range data["targets"].([]any) {
			d.deny(target.(object))
		}
	case "auth.invalidation.heartbeat.v1":
		d.clock = math.Max(d.clock, seconds(event["time"]))
		if data["publisher"] != nil {
			d.waiting = append(d.waiting, beat{now(), seconds(event["time"]), data})
		}
	}
	if publisher, ok := delivery.Headers["x-publisher"].(string); ok {
		if sequence := delivery.Headers["x-sequence"].(int64); sequence > d.read[publisher] {
			d.read[publisher] = sequence
		}
	}
	for len(d.waiting) > 0 && d.hasRead(d.waiting[0].data) {
		d.beaten = math.Max(d.beaten, math.Min(d.waiting[0].at, now()))
		d.waiting = d.waiting[1:]
	}
	if delivery.DeliveryTag%10_000 == 0 {
		for name, held := range d.denied {
			if held.until <= now() {
				delete(d.denied, name)
			}
		}
	}
	if len(d.waiting) > 0 && now()-d.waiting[0].arrived > 30 {
		return errors.New("what a heartbeat names did not come")
	}
	return nil
}

// hasRead: a heartbeat vouches once all is read that it, or one before it, names.
func (d *denylist) hasRead(data object) bool {
	sequence, _ := data["sequence"].(json.Number).Int64()
	return d.read[data["publisher"].(string)] >= sequence || seconds(data["published_at"]) <= d.since
}

func (d *denylist) deny(target object) {
	kind, cutoff, keys := target["kind"].(string), math.Inf(1), []string(nil)
	if kind == "token" {
		if d.skipRefreshToken && target["token_type_hint"] == "refresh_token" {
			return
		}
		for _, name := range []string{"token_sha256", "signed_sha256"} {
			if target[name] != nil {
				keys = append(keys, key(name, target[name]))
			}
		}
		if target["jti"] != nil {
			whose, told := target["iss"]
			if !told {
				whose = "*" // an older worker does not say whose
			}
			keys = append(keys, key("jti", target["jti"], whose))
		}
	} else {
		cutoff = seconds(target["not_before"])
		name, iss := target[member[kind]], target["iss"]
		if kind == "issuer" {
			iss = nil
		}
		keys = append(keys, key(kind, name, iss), key(kind, name, ""), anyCutoff) // "": not known
		claims, _ := target[extras[kind]].([]any)
		for _, claim := range claims {
			d.extra[[2]string{kind, claim.(string)}] = true
			whose := target["claims_iss"]
			if iss != nil {
				whose = iss
			}
			keys = append(keys, key(kind, claim, name, whose))
		}
	}
	for _, key := range keys {
		before := d.denied[key]
		d.denied[key] = held{math.Max(before.cutoff, cutoff), math.Max(before.until, seconds(target["expires_at"]))}
	}
}

// check takes claims as claimsOf(token) returns them, or as the service knows them; nil: unreadable.
func (d *denylist) check(token string, claims object) string {
	d.lock.Lock()
	defer d.lock.Unlock()
	at, signed, iss := now(), "", text(claims["iss"])
	if isJWS(token) {
		signed = token[:strings.LastIndex(token, ".")]
	}
	keys := []string{key("token_sha256", digest(token)), key("signed_sha256", digest(signed))}
	keys = append(keys, key("jti", text(claims["jti"]), iss), key("jti", text(claims["jti"]), "*"))
	known := iss
	if known == nil {
		known = ""
	}
	for _, name := range names {
		named := text(claims[name[1]])
		keys = append(keys, key(name[0], named, nil), key(name[0], named, known))
	}
	for extra := range d.extra {
		if iss != nil {
			keys = append(keys, key(extra[0], extra[1], text(claims[extra[1]]), iss))
		}
	}
	if claims == nil {
		keys = append(keys, anyCutoff)
	}
	iat, dated := moment(claims["iat"], 1)
	if !dated || iat > math.Max(at, d.clock)+300 {
		iat = 0 // an iat in the future says nothing
	}
	exp, ends := moment(claims["exp"], 10)
	isDenied := ends && exp <= at
	for _, key := range keys {
		held, ok := d.denied[key]
		isDenied = isDenied || ok && at < held.until && iat <= held.cutoff
	}
	switch {
	case isDenied:
		return "denied"
	case at-d.beaten < 3:
		return "allowed"
	}
	return "stale"
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func text(value any) any { // An integer counts as its decimal text.
	if number, ok := value.(json.Number); ok {
		if strings.ContainsAny(number.String(), ".eE") {
			return nil
		}
		return number.String()
	}
	if text, ok := value.(string); ok {
		return text
	}
	return nil
}

func moment(value any, wider float64) (float64, bool) {
	number, ok := value.(json.Number)
	if !ok {
		return 0, false
	}
	at, err := number.Float64()
	for _, unit := range units {
		if err == nil && math.Abs(at) < unit[0]*wider {
			return at / unit[1], true
		}
	}
	return 0, false
}

func decode(data []byte) any { // nil: no JSON
	decoder := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil || decoder.More() {
		return nil
	}
	return value
}

func part(text string) any {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return decode(data)
}

func isJWS(token string) bool { // Three parts and an algorithm. Many JWEs, PASETOs and opaque tokens share theirs.
	parts := strings.Split(token, ".")
	header, _ := part(parts[0]).(object)
	alg, _ := header["alg"].(string)
	return len(parts) == 3 && parts[1] != "" && parts[2] != "" && header["alg"] == alg && alg != "none"
}

func claimsOf(token string) object { // nil: a JWT whose claims cannot be read, which any cutoff may mean.
	if parts := strings.Split(token, "."); len(parts) == 3 {
		if claims, ok := part(parts[1]).(object); ok {
			return claims
		}
		if isJWS(token) {
			return nil
		}
	}
	return object{}
}

func main() {
	days, err := strconv.ParseFloat(os.Getenv("MAX_TOKEN_LIFETIME_DAYS"), 64)
	if err != nil {
		days = 30
	}
	since := now() - days*86400
	d := &denylist{denied: map[string]held{}, extra: map[[2]string]bool{}, read: map[string]int64{}, since: since,
		next: time.Unix(int64(since)-600, 0), skipRefreshToken: os.Getenv("SKIP_REFRESH_TOKENS") == "true"} // clocks may differ
	go func() {
		for {
			log.Println("lost the feed:", d.follow(os.Getenv("AMQP_URL")))
			time.Sleep(time.Second)
		}
	}()
	for tokens := bufio.NewScanner(os.Stdin); tokens.Scan(); {
		token := strings.TrimSpace(tokens.Text())
		fmt.Println(d.check(token, claimsOf(token)))
	}
}
