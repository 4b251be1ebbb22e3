// Command counter is a goka application: it counts the values of each key in a table that Kafka keeps, and answers what a
// view of that table says.
//
// usage: counter ADDRESS TOPIC GROUP
// Reads key names, one a line, and prints `KEY COUNT` of each. Ends in order when standard input does.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: counter ADDRESS TOPIC GROUP")
	}
	brokers, topic, group := []string{os.Args[1]}, goka.Stream(os.Args[2]), goka.Group(os.Args[3])
	config := goka.DefaultConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	goka.ReplaceGlobalConfig(config)
	tables := goka.NewTopicManagerConfig()
	tables.Table.Replication = 1
	manager := goka.TopicManagerBuilderWithConfig(config, tables)

	count := func(ctx goka.Context, _ any) {
		known, _ := ctx.Value().(int64)
		ctx.SetValue(known + 1)
	}
	graph := goka.DefineGroup(group, goka.Input(topic, new(codec.String), count), goka.Persist(new(codec.Int64)))
	processor, err := goka.NewProcessor(brokers, graph,
		goka.WithTopicManagerBuilder(manager), goka.WithStorageBuilder(storage.MemoryBuilder()))
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- processor.Run(ctx) }()
	processor.WaitForReady()

	view, err := goka.NewView(brokers, goka.GroupTable(group), new(codec.Int64),
		goka.WithViewTopicManagerBuilder(manager), goka.WithViewStorageBuilder(storage.MemoryBuilder()))
	check(err)
	go func() { ended <- view.Run(ctx) }()
	<-view.WaitRunning()

	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		value, err := view.Get(asked.Text())
		check(err)
		number, _ := value.(int64)
		fmt.Println(asked.Text(), number)
	}
	cancel()
	check(<-ended)
	check(<-ended)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
