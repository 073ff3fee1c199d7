// A small reverse proxy that does what the gateway does in its legacy lane: it chooses a route by the municipality in the path,
// verifies the sender's token (RS256, kept once it was verified), counts for Prometheus, and logs each request.
// It is what the gateway is measured beside: the standard library alone, as one would write it in an afternoon.
package main

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type claims struct {
	Audience string  `json:"aud"`
	Expires  float64 `json:"exp"`
	Sender   string  `json:"nhn:vkp/client/claims/vkp-id"`
}

type verifier struct {
	key   *rsa.PublicKey
	known sync.Map // digest of a token to its claims
}

func (v *verifier) verify(token string) (claims, bool) {
	digest := sha256.Sum256([]byte(token))
	if found, ok := v.known.Load(digest); ok {
		kept := found.(claims)
		return kept, kept.Expires > float64(time.Now().Unix())
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, false
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return claims{}, false
	}
	signed := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(v.key, crypto.SHA256, signed[:], signature) != nil {
		return claims{}, false
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	var found claims
	if err != nil || json.Unmarshal(body, &found) != nil || found.Expires <= float64(time.Now().Unix()) {
		return claims{}, false
	}
	v.known.Store(digest, found)
	return found, true
}

type counter struct {
	requests atomic.Int64
	micros   atomic.Int64
}

type metrics struct{ counters sync.Map }

func (m *metrics) count(municipality, information string, status int, took time.Duration) {
	name := fmt.Sprintf(`municipality=%q,information=%q,status="%d"`, municipality, information, status)
	found, ok := m.counters.Load(name)
	if !ok {
		found, _ = m.counters.LoadOrStore(name, &counter{})
	}
	found.(*counter).requests.Add(1)
	found.(*counter).micros.Add(took.Microseconds())
}

func (m *metrics) write(answer http.ResponseWriter, _ *http.Request) {
	m.counters.Range(func(name, value any) bool {
		one := value.(*counter)
		fmt.Fprintf(answer, "requests_total{%s} %d\n", name, one.requests.Load())
		fmt.Fprintf(answer, "request_seconds_sum{%s} %f\n", name, float64(one.micros.Load())/1e6)
		return true
	})
}

type noted struct {
	http.ResponseWriter
	status int
}

func (n *noted) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

// informationOf says what a message is about: the types of the resources of a Bundle, or that of the message itself.
func informationOf(body []byte) string {
	var message map[string]any
	if json.Unmarshal(body, &message) != nil {
		return ""
	}
	found, _ := message["resourceType"].(string)
	entries, _ := message["entry"].([]any)
	for _, each := range entries {
		entry, _ := each.(map[string]any)
		resource, _ := entry["resource"].(map[string]any)
		if kind, _ := resource["resourceType"].(string); kind == "DetectedIssue" {
			return "varsel"
		}
	}
	return found
}

func main() {
	listen := flag.Int("listen", 0, "port for senders")
	upstream := flag.Int("upstream", 0, "port that is passed to")
	admin := flag.Int("metrics", 0, "port for metrics")
	file := flag.String("key", "", "file with the issuer's public key")
	routes := flag.String("routes", "", "municipalities, with commas")
	buffered := flag.Bool("buffered", false, "read and parse bodies before they are passed on")
	flag.Parse()

	data, err := os.ReadFile(*file)
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(data)
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	tokens, counts := &verifier{key: parsed.(*rsa.PublicKey)}, &metrics{}
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	legacy, _ := url.Parse(fmt.Sprintf("http://127.0.0.1:%d", *upstream))
	targets := map[string]*url.URL{}
	for _, orgnr := range strings.Split(*routes, ",") {
		targets[orgnr] = legacy
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(*httputil.ProxyRequest) {},
		Transport: &http.Transport{MaxIdleConnsPerHost: 256},
	}

	handle := func(answer http.ResponseWriter, request *http.Request) {
		began := time.Now()
		parts := strings.SplitN(request.URL.Path, "/", 5)
		municipality, information, sender := "", "", ""
		noting := &noted{ResponseWriter: answer, status: 200}
		defer func() {
			took := time.Since(began)
			counts.count(municipality, information, noting.status, took)
			log.Info("request", "municipality", municipality, "information", information, "sender", sender,
				"status", noting.status, "seconds", took.Seconds())
		}()
		if len(parts) < 5 || targets[parts[3]] == nil {
			noting.WriteHeader(404)
			return
		}
		municipality = parts[3]
		token, ok := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
		found, good := tokens.verify(token)
		if !ok || !good {
			noting.WriteHeader(401)
			return
		}
		sender = found.Sender
		if *buffered {
			body, err := io.ReadAll(http.MaxBytesReader(noting, request.Body, 1_000_000))
			if err != nil {
				noting.WriteHeader(413)
				return
			}
			information = informationOf(body)
			request.Body = io.NopCloser(bytes.NewReader(body))
		}
		target := targets[municipality]
		request.URL.Scheme, request.URL.Host = target.Scheme, target.Host
		proxy.ServeHTTP(noting, request)
	}
	go http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", *admin), http.HandlerFunc(counts.write))
	if err := http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", *listen), http.HandlerFunc(handle)); err != nil {
		panic(err)
	}
}
