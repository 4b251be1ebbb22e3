// Command member is one member of a consumer group: prints `partition offset value` of each record, then commits it.
// member.py says more. As franz-go-producer, it produces the lines it reads (key, tab, value), each before the next, and
// belongs to no group.
//
// usage: member CLIENT ADDRESS TOPIC GROUP [SETTING=VALUE]...
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	heartbeat   = 500 * time.Millisecond
	fetchWait   = 200 * time.Millisecond
	restartWait = 200 * time.Millisecond
	batch       = 50
)

// member is what every client is told of its part.
type member struct {
	address, topic, group string
	settings              map[string]string
	session               time.Duration
}

func main() {
	if len(os.Args) < 5 {
		fmt.Fprintln(os.Stderr, "usage: member CLIENT ADDRESS TOPIC GROUP [SETTING=VALUE]...")
		os.Exit(2)
	}
	client := os.Args[1]
	one := member{address: os.Args[2], topic: os.Args[3], group: os.Args[4], settings: map[string]string{}, session: 6 * time.Second}
	for _, setting := range os.Args[5:] {
		name, value, _ := strings.Cut(setting, "=")
		one.settings[name] = value
	}
	if given, ok := one.settings["session.timeout.ms"]; ok {
		ms, err := strconv.Atoi(given)
		check(err)
		one.session = time.Duration(ms) * time.Millisecond
	}
	consume, ok := map[string]func(context.Context, member){
		"franz-go": franzGo, "franz-go-producer": franzGoProducer, "sarama": saramaGroup, "kafka-go": kafkaGo,
	}[client]
	if !ok {
		check(fmt.Errorf("no client %q", client))
	}
	stopping, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	consume(stopping, one)
}

// Standard output is not buffered: a line is out before its record is committed.
func show[P int | int32](partition P, offset int64, value []byte) {
	fmt.Println(partition, offset, string(value))
}

func note(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func logf(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
}
