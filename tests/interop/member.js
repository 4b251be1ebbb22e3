// One member of a consumer group: prints `partition offset value` of each record. member.py says more.
// usage: member.js CLIENT ADDRESS TOPIC GROUP [SETTING=VALUE]...
'use strict'

const modules = process.env.NODE_MODULES
const [client, address, topic, group, ...given] = process.argv.slice(2)
const settings = Object.fromEntries(given.map(setting => setting.split('=')))
const sessionTimeout = Number(settings['session.timeout.ms'] ?? 6000)

async function kafkajs () {
  const { Kafka, logLevel } = require(`${modules}/kafkajs`)
  const kafka = new Kafka({ clientId: 'interop', brokers: [address], logLevel: logLevel.ERROR, retry: { retries: 30, maxRetryTime: 1000 } })
  const consumer = kafka.consumer({ groupId: group, sessionTimeout, heartbeatInterval: 500, maxWaitTimeInMs: 200 })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  process.on('SIGTERM', () => consumer.disconnect().then(() => process.exit(0)))
  await consumer.run({
    eachMessage: async ({ partition, message }) => console.log(partition, message.offset, message.value.toString())
  })
}

async function platformatic () {
  const { Consumer, stringDeserializers } = await import(`${modules}/@platformatic/kafka/dist/index.js`)
  const consumer = new Consumer({
    clientId: 'interop', bootstrapBrokers: [address], groupId: group, groupInstanceId: settings['group.instance.id'], deserializers: stringDeserializers,
    sessionTimeout, rebalanceTimeout: sessionTimeout, heartbeatInterval: 500, maxWaitTime: 200, retries: 30
  })
  process.on('SIGTERM', () => consumer.close(true).then(() => process.exit(0)))
  const stream = await consumer.consume({ topics: [topic], autocommit: false, mode: 'committed', fallbackMode: 'earliest' })
  for await (const message of stream) {
    console.log(message.partition, message.offset.toString(), message.value)
    await message.commit()
  }
}

const clients = { kafkajs, platformatic }
clients[client]().catch(error => {
  console.error(error)
  process.exit(1)
})
