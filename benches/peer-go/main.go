// The Go peer of the benchmark: the consumer that a team would write. It takes logout events, revokes the
// refresh token and then the access token, inserts one row a token, publishes one confirmed invalidation an
// event, and acknowledges. A failed call is tried again after a pause; any other failure ends it.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v4/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	prefetch    = 300
	databaseMax = 16
	denial      = 30 * 24 * time.Hour
	pause       = 100 * time.Millisecond
	insert      = `INSERT INTO logouts (source, id, token_sha256, token_type_hint, received_at, revoked_at)
		VALUES ($1, $2, $3, $4, $7, $8), ($1, $2, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
)

type event struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	Data   struct {
		Provider string   `json:"provider"`
		Targets  []target `json:"targets"`
	} `json:"data"`
}

type target struct {
	Token string `json:"token"`
	Hint  string `json:"token_type_hint"`
}

type invalidation struct {
	SpecVersion string           `json:"specversion"`
	ID          string           `json:"id"`
	Source      string           `json:"source"`
	Type        string           `json:"type"`
	Time        time.Time        `json:"time"`
	Data        invalidationData `json:"data"`
}

type invalidationData struct {
	Phase    string   `json:"phase"`
	Provider string   `json:"provider"`
	Event    eventRef `json:"event"`
	Targets  []entry  `json:"targets"`
}

type eventRef struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

type entry struct {
	Kind      string    `json:"kind"`
	Digest    string    `json:"token_sha256"`
	Hint      string    `json:"token_type_hint"`
	ExpiresAt time.Time `json:"expires_at"`
}

type peer struct {
	revokeURL string
	http      *http.Client
	database  *pgxpool.Pool
	output    *amqp.Channel
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	concurrency, err := strconv.Atoi(os.Getenv("CONCURRENCY"))
	if err != nil {
		return fmt.Errorf("CONCURRENCY: %w", err)
	}
	terminated, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	connection, err := amqp.Dial(os.Getenv("AMQP_URL"))
	if err != nil {
		return err
	}
	defer connection.Close()
	input, err := connection.Channel()
	if err != nil {
		return err
	}
	if err := input.Qos(prefetch, 0, false); err != nil {
		return err
	}
	output, err := connection.Channel()
	if err != nil {
		return err
	}
	if err := output.Confirm(false); err != nil {
		return err
	}
	settings, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return errors.New("DATABASE_URL cannot be read")
	}
	settings.MaxConns = databaseMax
	database, err := pgxpool.ConnectConfig(terminated, settings)
	if err != nil {
		return err
	}
	defer database.Close()
	client := &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConns: concurrency, MaxIdleConnsPerHost: concurrency},
	}
	p := &peer{revokeURL: os.Getenv("REVOKE_URL"), http: client, database: database, output: output}
	return p.consume(terminated, input, concurrency)
}

// consume handles deliveries until the process is told to end, then finishes those that it has begun.
func (p *peer) consume(terminated context.Context, input *amqp.Channel, concurrency int) error {
	deliveries, err := input.Consume("revocation.logout", "peer", false, false, false, false, nil)
	if err != nil {
		return err
	}
	var workers sync.WaitGroup
	failures := make(chan error, concurrency)
	for i := 0; i < concurrency; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for {
				select {
				case <-terminated.Done():
					return
				case delivery, open := <-deliveries:
					if !open {
						failures <- errors.New("the broker ended the consumer")
						return
					}
					if err := p.handle(&delivery); err != nil {
						failures <- err
						return
					}
				}
			}
		}()
	}
	select {
	case err := <-failures:
		return err
	case <-terminated.Done():
		workers.Wait()
		return nil
	}
}

func (p *peer) handle(delivery *amqp.Delivery) error {
	received := time.Now().UTC()
	var logout event
	if err := json.Unmarshal(delivery.Body, &logout); err != nil {
		return errors.New("a message is no event")
	}
	if len(logout.Data.Targets) != 2 {
		return errors.New("an event does not name two tokens")
	}
	access, refresh := logout.Data.Targets[0], logout.Data.Targets[1]
	for _, token := range []target{refresh, access} {
		if err := p.revoke(token); err != nil {
			return err
		}
	}
	_, err := p.database.Exec(context.Background(), insert, logout.Source, logout.ID,
		digest(access.Token), access.Hint, digest(refresh.Token), refresh.Hint, received, time.Now().UTC())
	if err != nil {
		return err
	}
	if err := p.publish(&logout); err != nil {
		return err
	}
	return delivery.Ack(false)
}

// revoke posts until the provider accepts (RFC 7009).
func (p *peer) revoke(token target) error {
	form := url.Values{"token": {token.Token}, "token_type_hint": {token.Hint}}.Encode()
	for {
		request, err := http.NewRequest(http.MethodPost, p.revokeURL, strings.NewReader(form))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth("bench", "bench-secret")
		response, err := p.http.Do(request)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil {
			return err
		}
		if response.StatusCode == http.StatusOK {
			return nil
		}
		time.Sleep(pause)
	}
}

// publish returns when the broker has confirmed.
func (p *peer) publish(logout *event) error {
	now := time.Now().UTC()
	entries := make([]entry, 0, len(logout.Data.Targets))
	for _, token := range logout.Data.Targets {
		entries = append(entries, entry{"token", digest(token.Token), token.Hint, now.Add(denial)})
	}
	body, err := json.Marshal(invalidation{
		SpecVersion: "1.0", ID: id(), Source: "/peer", Type: "auth.invalidation.v1", Time: now,
		Data: invalidationData{"requested", logout.Data.Provider, eventRef{logout.Source, logout.ID}, entries},
	})
	if err != nil {
		return err
	}
	confirmation, err := p.output.PublishWithDeferredConfirmWithContext(context.Background(),
		"auth.invalidations", "invalidation.main.token", true, false,
		amqp.Publishing{ContentType: "application/cloudevents+json", DeliveryMode: amqp.Persistent, Body: body})
	if err != nil {
		return err
	}
	if !confirmation.Wait() {
		return errors.New("the broker refused an invalidation")
	}
	return nil
}

func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func id() string {
	var bytes [16]byte
	_, _ = rand.Read(bytes[:]) // it fails only where the system has no randomness, and then ids repeat
	return hex.EncodeToString(bytes[:])
}
